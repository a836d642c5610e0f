// Slot schedule for CPU-type drivers: one subgroup a workgroup, everything in registers, no workgroup memory, no barrier.
// The workgroup is exactly one subgroup (checked by the plan), so lane = local_invocation_index. It owns OWN rows; each lane holds the scores of all of them against its STREAM stream positions, and WIDTH4 vec4s of the dims
// of each accumulator row. Own rows and weights go round by subgroupShuffle, since on such a driver every load is a gather.
//   TILE_OWN = OWN, TILE_STREAM = LANES·STREAM, STREAM = 4·STREAM4, BLOCKS = OWN / LANES
var<private> lane: u32;
var<private> own_first: u32;     // first own position of the tile
var<private> stream_first: u32;  // first stream position of the tile

fn take_place(invocation: u32) { lane = invocation; }
fn own_position(r: u32) -> u32 { return own_first + r; }
fn stream_position(c: u32) -> u32 { return stream_first + lane * STREAM + c; }
fn dim4(w: u32) -> u32 { return w * LANES + lane; }
fn holds_first_column() -> bool { return lane == 0u; }

// out[r, c] = Σ_d own[r, d]·stream[c, d] over depth4 vec4s of dims
fn product(own: u32, stream: u32, depth4: u32, out: ptr<function, Scores>) {
    for (var i = 0u; i < SCORES; i++) { // unroll
        (*out)[i] = vec4(0.0);
    }
    for (var d4 = 0u; d4 < depth4; d4++) {
        var right: array<vec4<f32>, STREAM>;                            // [STREAM, 4]
        for (var c = 0u; c < STREAM; c++) { // unroll
            right[c] = stream4(stream, stream_position(c), d4);
        }
        for (var b = 0u; b < BLOCKS; b++) { // unroll
            let rows = own4(own, own_first + b * LANES + lane, d4);     // [LANES, 4], one row a lane
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
                var value: array<vec4<f32>, WIDTH4>;                    // [4·WIDTH4] dims of one stream position
                for (var w = 0u; w < WIDTH4; w++) { // unroll
                    value[w] = value4(stream, stream_first + source * STREAM + c * 4u + e, dim4(w));
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
        (*values)[r] = subgroupMax((*values)[r]);
    }
}
fn rows_sum(values: ptr<function, Rows>) {
    for (var r = 0u; r < OWN; r++) { // unroll
        (*values)[r] = subgroupAdd((*values)[r]);
    }
}
