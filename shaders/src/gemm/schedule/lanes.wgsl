// Slot schedule for CPU-type drivers: one subgroup a workgroup, everything in registers, no workgroup memory, no barrier.
// The workgroup is exactly one subgroup (checked by the plan), so lane = local_invocation_index. Each lane holds the sums of all ROWS rows
// and of its own COLS columns. Rows of op(a) go round by subgroupShuffle, since on such a driver every load is a gather.
//   TILE_ROWS = ROWS, TILE_COLS = LANES·COLS, COLS = 4·COLS4, BLOCKS = ROWS / LANES
var<private> lane: u32;

fn take_place(invocation: u32) { lane = invocation; }
fn row(r: u32) -> u32 { return at.row + r; }
fn column(c: u32) -> u32 { return at.col + lane * COLS + c * 4u; }

fn product(acc: ptr<function, Sums>, begin: u32, end: u32) {
    var deals: array<u32, BLOCKS>;
    for (var b = 0u; b < BLOCKS; b++) { // unroll
        deals[b] = deal_place(at.row + b * LANES);
    }
    var places: array<Place, COLS4>;
    for (var c = 0u; c < COLS4; c++) { // unroll
        places[c] = right_place(column(c), 0u);
    }
    for (var depth = begin; depth < end; depth += 4u) {
        var quads = array<vec4<f32>, BLOCKS>();                // [BLOCKS, 4], one quad a lane
        for (var b = 0u; b < BLOCKS; b++) { // unroll
            quads[b] = dealt(deals[b], depth, end);
        }
        var right = array<Block, COLS4>();                     // [COLS4, 4 terms, 4 columns]
        for (var c = 0u; c < COLS4; c++) { // unroll
            right[c] = right_part(places[c], depth, 0u, end);
        }
        for (var r = 0u; r < ROWS; r++) { // unroll
            for (var e = 0u; e < 4u; e++) { // unroll
                let left = hand(quads[r / LANES], r % LANES, e);
                for (var c = 0u; c < COLS4; c++) { // unroll
                    (*acc)[r * COLS4 + c] += left * right[c][e];
                }
            }
        }
    }
}
