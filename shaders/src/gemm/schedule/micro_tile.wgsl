// Slot schedule for GPUs: a workgroup of SIDE × SIDE invocations, each with a micro-tile of ROWS × COLS sums in registers; DEPTH terms of
// op(a) and op(b) at a time lie in workgroup memory, by term, so that both are read as quads. No subgroup operation.
//   ROWS = 4·ROWS4, COLS = 4·COLS4, TILE_ROWS = SIDE·ROWS, TILE_COLS = SIDE·COLS
// Quads are swizzled by an exclusive or with twice the number of their block of terms: members that bring neighbouring terms of a row write
// to different banks. Reads are quads of neighbours, or of one place for many, either way.
var<workgroup> left_tile: array<vec4<f32>, LEFT_TILE>;     // [DEPTH, TILE_ROWS / 4]
var<workgroup> right_tile: array<vec4<f32>, RIGHT_TILE>;   // [DEPTH, TILE_COLS / 4]

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

fn bring_left(member: vec2<u32>, block: Block) {
    for (var e = 0u; e < 4u; e++) { // unroll
        left_tile[(member.y * 4u + e) * TILE_ROWS4 + swizzled(member.x, member.y)] = block[e];
    }
}
fn bring_right(member: vec2<u32>, block: Block) {
    for (var e = 0u; e < 4u; e++) { // unroll
        right_tile[(member.y * 4u + e) * TILE_COLS4 + swizzled(member.x, member.y)] = block[e];
    }
}

fn product(acc: ptr<function, Sums>) {
    // What this invocation brings: SHARES blocks, of a or of b.
    var members: array<vec2<u32>, SHARES>;
    var places: array<Place, SHARES>;
    for (var s = 0u; s < SHARES; s++) { // unroll
        let n = s * INVOCATIONS + lane;
        if n < LEFT_BLOCKS {
            members[s] = left_member(n);
            places[s] = left_place(at.row + members[s].x * 4u);
        } else {
            members[s] = right_member(n - LEFT_BLOCKS);
            places[s] = right_place(at.col + members[s].x * 4u);
        }
    }
    for (var first = params.k_from; first < params.k_to; first += DEPTH) {
        workgroupBarrier();
        for (var s = 0u; s < SHARES; s++) { // unroll
            let depth = first + members[s].y * 4u;
            if s * INVOCATIONS + lane < LEFT_BLOCKS {
                var block = left_block(places[s], depth);
                if first + DEPTH > params.k_to { mask(&block, depth); }
                bring_left(members[s], block);
            } else {
                var block = right_block(places[s], depth);
                if first + DEPTH > params.k_to { mask(&block, depth); }
                bring_right(members[s], block);
            }
        }
        workgroupBarrier();
        for (var d = 0u; d < DEPTH; d++) { // unroll
            var right: array<vec4<f32>, COLS4>;             // [COLS4, 4]
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
