// Slot schedule for matrix units: a workgroup is one subgroup, whose invocations multiply matrices of EDGE × EDGE together, f16 in, f32 out.
// A tile is ROW_PARTS × COL_PARTS matrices of sums, which stay in matrix registers over all terms; DEPTH = EDGE·DEPTH_PARTS terms of op(a) and
// op(b) at a time lie in workgroup memory, those of a row or column side by side, as matrix units want them. Elements are copied, never rounded.
// At the end sums go through workgroup memory, a row of matrices at a time, to the invocations that store them: each has four columns and
// every ROW_LANES-th row. No subgroup operation: a driver is known to crash on a module with both. A driver that makes several subgroups of
// the workgroup computes the same in each. Rows are padded by 16 bytes, so that the rows of a matrix begin in different banks.
var<workgroup> left_tile: array<vec4<f16>, LEFT_TILE>;     // [TILE_ROWS, DEPTH_STRIDE4]
var<workgroup> right_tile: array<vec4<f16>, RIGHT_TILE>;   // [TILE_COLS, DEPTH_STRIDE4]
var<workgroup> sum_tile: array<vec4<f32>, SUM_TILE>;       // [EDGE, SUM_STRIDE4]

// Every index below stays inside: the blocks of a step are shared out without a rest, and invocations without a rest among columns and rows.
const_assert (LEFT_SHARES * INVOCATIONS == DEPTH4 * TILE_ROWS4);
const_assert (RIGHT_SHARES * INVOCATIONS == DEPTH4 * TILE_COLS4);
const_assert (INVOCATIONS == ROW_LANES * TILE_COLS4);
const_assert (EDGE == ROW_LANES * PART_ROWS);

var<private> lane: u32;
var<private> row_lane: u32;   // the invocation's first row of a tile
var<private> quad_lane: u32;  // and its four columns

fn take_place(invocation: u32) {
    lane = invocation;
    row_lane = invocation / TILE_COLS4;
    quad_lane = invocation % TILE_COLS4;
}
fn row(r: u32) -> u32 { return at.row + r * ROW_LANES + row_lane; }
fn column(c: u32) -> u32 { return at.col + quad_lane * 4u; }

// What an invocation brings of a step, as one of many: a block of op(a) or of op(b).
struct Share {
    place: Place,
    depth: u32,   // first term, within the step
    quad: u32,    // where the terms of the first row or column go
}
fn left_share(n: u32) -> Share {
    let member = left_member(n);
    return Share(left_place(at.row + member.x * 4u, member.y * 4u), member.y * 4u, member.x * 4u * DEPTH_STRIDE4 + member.y);
}
fn right_share(n: u32) -> Share {
    let member = right_member(n);
    return Share(right_place(at.col + member.x * 4u, member.y * 4u), member.y * 4u, member.x * 4u * DEPTH_STRIDE4 + member.y);
}
fn put_left(quad: u32, block: Block) {
    let rows = turned(block);
    for (var e = 0u; e < 4u; e++) { // unroll
        left_tile[quad + e * DEPTH_STRIDE4] = vec4<f16>(rows[e]);
    }
}
fn put_right(quad: u32, block: Block) {
    let columns = turned(block);
    for (var e = 0u; e < 4u; e++) { // unroll
        right_tile[quad + e * DEPTH_STRIDE4] = vec4<f16>(columns[e]);
    }
}

// left_tile, right_tile ← op(a), op(b) of the step that begins at term `first`; terms beyond the last one as 0.
fn bring(left: array<Share, LEFT_SHARES>, right: array<Share, RIGHT_SHARES>, first: u32, end: u32) {
    if first + DEPTH <= end {
        for (var s = 0u; s < LEFT_SHARES; s++) { // unroll
            put_left(left[s].quad, left_block(left[s].place, first));
        }
        for (var s = 0u; s < RIGHT_SHARES; s++) { // unroll
            put_right(right[s].quad, right_block(right[s].place, first));
        }
    } else {
        for (var s = 0u; s < LEFT_SHARES; s++) { // unroll
            put_left(left[s].quad, left_part(left[s].place, first, left[s].depth, end));
        }
        for (var s = 0u; s < RIGHT_SHARES; s++) { // unroll
            put_right(right[s].quad, right_part(right[s].place, first, right[s].depth, end));
        }
    }
}

// The invocation's elements of row r of matrices, added to acc. All matrices of that row are in sum_tile.
fn take_sums(acc: ptr<function, Sums>, r: u32) {
    for (var s = 0u; s < PART_ROWS; s++) { // unroll
        (*acc)[r * PART_ROWS + s] += sum_tile[(s * ROW_LANES + row_lane) * SUM_STRIDE4 + quad_lane];
    }
}

fn product(acc: ptr<function, Sums>, begin: u32, end: u32) {
    var left_shares: array<Share, LEFT_SHARES>;
    var right_shares: array<Share, RIGHT_SHARES>;
    for (var s = 0u; s < LEFT_SHARES; s++) { // unroll
        left_shares[s] = left_share(s * INVOCATIONS + lane);
    }
    for (var s = 0u; s < RIGHT_SHARES; s++) { // unroll
        right_shares[s] = right_share(s * INVOCATIONS + lane);
    }
    var sums: array<Sum, PRODUCTS>;                         // [ROW_PARTS, COL_PARTS]
    for (var first = begin; first < end; first += DEPTH) {
        workgroupBarrier();
        bring(left_shares, right_shares, first, end);
        workgroupBarrier();
        for (var d = 0u; d < DEPTH_PARTS; d++) { // unroll
            var left = array<Left, ROW_PARTS>();
            for (var r = 0u; r < ROW_PARTS; r++) { // unroll
                left[r] = coopLoadT<Left>(&left_tile[r * EDGE * DEPTH_STRIDE4 + d * EDGE4], DEPTH_STRIDE4);
            }
            for (var c = 0u; c < COL_PARTS; c++) { // unroll
                let right = coopLoad<Right>(&right_tile[c * EDGE * DEPTH_STRIDE4 + d * EDGE4], DEPTH_STRIDE4);
                for (var r = 0u; r < ROW_PARTS; r++) { // unroll
                    sums[r * COL_PARTS + c] = coopMultiplyAdd(left[r], right, sums[r * COL_PARTS + c]);
                }
            }
        }
    }
    for (var r = 0u; r < ROW_PARTS; r++) { // unroll
        workgroupBarrier();
        for (var c = 0u; c < COL_PARTS; c++) { // unroll
            coopStoreT(sums[r * COL_PARTS + c], &sum_tile[c * EDGE4], SUM_STRIDE4);
        }
        workgroupBarrier();
        take_sums(acc, r);
    }
}
