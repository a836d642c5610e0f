// Slot schedule for CPU-type drivers: one subgroup a workgroup, everything in registers, no workgroup memory, no barrier.
// The workgroup is exactly one subgroup (checked by the plan), so lane = local_invocation_index. It owns OWN rows; each lane holds the
// scores of all of them against its STREAM stream positions, and WIDTH4 vec4s of the dims of each accumulator row. Own rows and weights
// go round by subgroupShuffle, since on such a driver every load is a gather.
//   TILE_OWN = OWN, TILE_STREAM = LANES·STREAM, STREAM = 4·STREAM4, BLOCKS = OWN / LANES
const_assert (INVOCATIONS == LANES);
const_assert (OWN == BLOCKS * LANES);
const_assert (TILE_STREAM == LANES * STREAM);

var<private> lane: u32;
var<private> own_first: u32;     // first own position of the tile
var<private> stream_first: u32;  // first stream position of the tile

fn take_place(invocation: u32) { lane = invocation; }
fn own_position(r: u32) -> u32 { return own_first + r; }
fn stream_position(c: u32) -> u32 { return stream_first + lane * STREAM + c; }
fn dim4(w: u32) -> u32 { return w * LANES + lane; }
fn holds_first_column() -> bool { return lane == 0u; }

// The first lane's range, as a value that a compiler can see to be uniform: loops with shuffles run over it.
var<workgroup> shared_range: vec2<u32>;
fn same_for_all(range: vec2<u32>) -> vec2<u32> {
    if lane == 0u { shared_range = range; }
    return workgroupUniformLoad(&shared_range);
}

// out[r, c] = Σ_d own[r, d]·stream[c, d] over depth4 vec4s of dims
fn product(own: u32, stream: u32, depth4: u32, out: ptr<function, Scores>) {
    for (var i = 0u; i < SCORES; i++) { // unroll
        (*out)[i] = vec4(0.0);
    }
    var own_rows: array<u32, BLOCKS>;
    for (var b = 0u; b < BLOCKS; b++) { // unroll
        own_rows[b] = own_row(own, own_first + b * LANES + lane);
    }
    var stream_rows: array<u32, STREAM>;
    for (var c = 0u; c < STREAM; c++) { // unroll
        stream_rows[c] = stream_row(stream, stream_position(c));
    }
    for (var d4 = 0u; d4 < depth4; d4++) {
        var right = array<vec4<f32>, STREAM>();                            // [STREAM, 4]
        for (var c = 0u; c < STREAM; c++) { // unroll
            right[c] = stream4(stream, stream_rows[c], 0u, d4);
        }
        for (var b = 0u; b < BLOCKS; b++) { // unroll
            let rows = own4(own, own_rows[b], 0u, d4);                  // [LANES, 4], one row a lane
            for (var l = 0u; l < LANES; l++) { // unroll
                let left = subgroupShuffle(rows, l);
                for (var c = 0u; c < STREAM4; c++) { // unroll
                    (*out)[(b * LANES + l) * STREAM4 + c] += vec4(dot(left, right[c * 4u]), dot(left, right[c * 4u + 1u]),
                                                                  dot(left, right[c * 4u + 2u]), dot(left, right[c * 4u + 3u]));
                }
            }
        }
    }
}

// acc[r, dims] += Σ_c weights[r, c]·stream[c, dims]
fn accumulate(stream: u32, weights: ptr<function, Scores>, acc: ptr<function, Accumulator>) {
    for (var source = 0u; source < LANES; source++) {
        for (var c = 0u; c < STREAM4; c++) { // unroll
            for (var e = 0u; e < 4u; e++) { // unroll
                let row = stream_row(stream, stream_first + source * STREAM + c * 4u + e);
                var value = array<vec4<f32>, WIDTH4>();                    // [4·WIDTH4] dims of one stream position
                for (var w = 0u; w < WIDTH4; w++) { // unroll
                    value[w] = finite4(stream4(stream, row, 0u, dim4(w)));
                }
                for (var r = 0u; r < OWN; r++) { // unroll
                    let p = subgroupShuffle((*weights)[r * STREAM4 + c][e], source);
                    for (var w = 0u; w < WIDTH4; w++) { // unroll
                        (*acc)[r * WIDTH4 + w] += p * value[w];
                    }
                }
            }
        }
    }
}

fn rows_max(values: ptr<function, Rows>) {
    for (var r = 0u; r < OWN; r++) { // unroll
        (*values)[r / 4u][r % 4u] = subgroupMax((*values)[r / 4u][r % 4u]);
    }
}
fn rows_sum(values: ptr<function, Rows>) {
    for (var r = 0u; r < OWN; r++) { // unroll
        (*values)[r / 4u][r % 4u] = subgroupAdd((*values)[r / 4u][r % 4u]);
    }
}
