// Slot schedule for GPUs: a workgroup of SIDE × SIDE invocations, each with a micro-tile of ROWS × COLS sums in registers; DEPTH terms of
// op(a) and op(b) at a time lie in workgroup memory, by term, so that both are read as quads. No subgroup operation.
//   ROWS = 4·ROWS4, COLS = 4·COLS4, TILE_ROWS = SIDE·ROWS, TILE_COLS = SIDE·COLS
// Quads are swizzled by an exclusive or with twice the number of their block of terms: members that bring neighbouring terms of a row write
// to different banks. Reads are quads of neighbours, or of one place for many, either way.
var<workgroup> left_tile: array<vec4<f32>, LEFT_TILE>;     // [DEPTH, TILE_ROWS / 4]
var<workgroup> right_tile: array<vec4<f32>, RIGHT_TILE>;   // [DEPTH, TILE_COLS / 4]

// Every index below stays inside: the blocks of a step are shared out without a rest and fill their arrays.
const_assert (INVOCATIONS == SIDE * SIDE);
const_assert (LEFT_TILE == DEPTH * TILE_ROWS4);
const_assert (RIGHT_TILE == DEPTH * TILE_COLS4);
const_assert ((LEFT_SHARES + RIGHT_SHARES) * INVOCATIONS + SPLIT_SHARES * INVOCATIONS == DEPTH4 * (TILE_ROWS4 + TILE_COLS4));

var<private> lane: u32;
var<private> row_lane: u32;   // row of the invocation in the workgroup
var<private> col_lane: u32;   // column

fn take_place(invocation: u32) {
    lane = invocation;
    row_lane = invocation / SIDE;
    col_lane = invocation % SIDE;
}
fn row(r: u32) -> u32 { return at.row + (r / 4u * SIDE + row_lane) * 4u + r % 4u; }
fn column(c: u32) -> u32 { return at.col + (c * SIDE + col_lane) * 4u; }
fn swizzled(quad: u32, block: u32) -> u32 { return quad ^ (2u * block % SIDE); }

// What an invocation brings of a step, as one of many: a block of op(a) or of op(b).
struct Share {
    place: Place,
    depth: u32,   // first term, within the step
    quad: u32,    // where the quad of that term goes
}
fn left_share(n: u32) -> Share {
    let member = left_member(n);
    let quad = member.y * 4u * TILE_ROWS4 + swizzled(member.x, member.y);
    return Share(left_place(at.row + member.x * 4u, member.y * 4u), member.y * 4u, quad);
}
fn right_share(n: u32) -> Share {
    let member = right_member(n);
    let quad = member.y * 4u * TILE_COLS4 + swizzled(member.x, member.y);
    return Share(right_place(at.col + member.x * 4u, member.y * 4u), member.y * 4u, quad);
}
fn put_left(quad: u32, block: Block) {
    for (var e = 0u; e < 4u; e++) { // unroll
        left_tile[quad + e * TILE_ROWS4] = block[e];
    }
}
fn put_right(quad: u32, block: Block) {
    for (var e = 0u; e < 4u; e++) { // unroll
        right_tile[quad + e * TILE_COLS4] = block[e];
    }
}
fn bring_left(share: Share, first: u32, end: u32) {
    if first + DEPTH <= end {
        put_left(share.quad, left_block(share.place, first));
    } else {
        put_left(share.quad, left_part(share.place, first, share.depth, end));
    }
}
fn bring_right(share: Share, first: u32, end: u32) {
    if first + DEPTH <= end {
        put_right(share.quad, right_block(share.place, first));
    } else {
        put_right(share.quad, right_part(share.place, first, share.depth, end));
    }
}

fn product(acc: ptr<function, Sums>, begin: u32, end: u32) {
    // Blocks of op(a), then of op(b), are shared out evenly: LEFT_SHARES and RIGHT_SHARES to each invocation, or SPLIT_SHARES, of which the
    // first half of the invocations bring op(a).
    var left_shares: array<Share, SHARES>;
    var right_shares: array<Share, SHARES>;
    for (var s = 0u; s < LEFT_SHARES; s++) { // unroll
        left_shares[s] = left_share(s * INVOCATIONS + lane);
    }
    for (var s = 0u; s < RIGHT_SHARES; s++) { // unroll
        right_shares[s] = right_share(s * INVOCATIONS + lane);
    }
    for (var s = 0u; s < SPLIT_SHARES; s++) { // unroll
        if lane < LEFT_BLOCKS { left_shares[s] = left_share(lane); } else { left_shares[s] = right_share(lane - LEFT_BLOCKS); }
    }
    for (var first = begin; first < end; first += DEPTH) {
        workgroupBarrier();
        for (var s = 0u; s < LEFT_SHARES; s++) { // unroll
            bring_left(left_shares[s], first, end);
        }
        for (var s = 0u; s < RIGHT_SHARES; s++) { // unroll
            bring_right(right_shares[s], first, end);
        }
        for (var s = 0u; s < SPLIT_SHARES; s++) { // unroll
            if lane < LEFT_BLOCKS { bring_left(left_shares[s], first, end); } else { bring_right(left_shares[s], first, end); }
        }
        workgroupBarrier();
        for (var d = 0u; d < DEPTH; d++) { // unroll
            var right = array<vec4<f32>, COLS4>();             // [COLS4, 4]
            for (var c = 0u; c < COLS4; c++) { // unroll
                right[c] = right_tile[d * TILE_COLS4 + c * SIDE + swizzled(col_lane, d / 4u)];
            }
            for (var r = 0u; r < ROWS4; r++) { // unroll
                let left = left_tile[d * TILE_ROWS4 + r * SIDE + swizzled(row_lane, d / 4u)];
                for (var e = 0u; e < 4u; e++) { // unroll
                    for (var c = 0u; c < COLS4; c++) { // unroll
                        (*acc)[(r * 4u + e) * COLS4 + c] += left[e] * right[c];
                    }
                }
            }
        }
    }
}
