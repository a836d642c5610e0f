// Slot schedule for GPUs: a workgroup of SIDE × SIDE invocations, each with an OWN × STREAM micro-tile of scores in registers; operands
// are staged in workgroup memory, DEPTH4 vec4s of dims at a time. No subgroup operation.
//   TILE_OWN = SIDE·OWN, TILE_STREAM = SIDE·STREAM, STREAM = 4·STREAM4; an accumulator row's dims are spread over the SIDE columns
var<workgroup> own_tile: array<vec4<f32>, OWN_TILE>;        // [TILE_OWN, DEPTH4]
var<workgroup> stream_tile: array<vec4<f32>, STREAM_TILE>;  // [TILE_STREAM, DEPTH4], or values [TILE_STREAM, VALUES4·SIDE]
var<workgroup> weight_tile: array<vec4<f32>, WEIGHT_TILE>;  // [TILE_OWN, TILE_STREAM / 4]
var<workgroup> row_tile: array<f32, ROW_TILE>;              // [TILE_OWN, SIDE]

var<private> lane: u32;
var<private> own_lane: u32;      // row of the invocation in the workgroup
var<private> stream_lane: u32;   // column
var<private> own_first: u32;
var<private> stream_first: u32;

fn take_place(invocation: u32) {
    lane = invocation;
    own_lane = invocation / SIDE;
    stream_lane = invocation % SIDE;
}
fn own_position(r: u32) -> u32 { return own_first + own_lane * OWN + r; }
fn stream_position(c: u32) -> u32 { return stream_first + stream_lane * STREAM + c; }
fn dim4(w: u32) -> u32 { return w * SIDE + stream_lane; }
fn holds_first_column() -> bool { return stream_lane == 0u; }

// out[r, c] = Σ_d own[r, d]·stream[c, d] over depth4 vec4s of dims
fn product(own: u32, stream: u32, depth4: u32, out: ptr<function, Scores>) {
    for (var i = 0u; i < SCORES; i++) { // unroll
        (*out)[i] = vec4(0.0);
    }
    for (var first = 0u; first < depth4; first += DEPTH4) {
        workgroupBarrier();
        for (var n = lane; n < OWN_TILE; n += INVOCATIONS) {
            own_tile[n] = own4(own, own_first + n / DEPTH4, first + n % DEPTH4);
        }
        for (var n = lane; n < STREAM_TILE; n += INVOCATIONS) {
            stream_tile[n] = stream4(stream, stream_first + n / DEPTH4, first + n % DEPTH4);
        }
        workgroupBarrier();
        for (var d4 = 0u; d4 < DEPTH4; d4++) {
            var right: array<vec4<f32>, STREAM>;            // [STREAM, 4]
            for (var c = 0u; c < STREAM; c++) { // unroll
                right[c] = stream_tile[(stream_lane * STREAM + c) * DEPTH4 + d4];
            }
            for (var r = 0u; r < OWN; r++) { // unroll
                let left = own_tile[(own_lane * OWN + r) * DEPTH4 + d4];
                for (var c = 0u; c < STREAM4; c++) { // unroll
                    (*out)[r * STREAM4 + c] += vec4(dot(left, right[c * 4u]), dot(left, right[c * 4u + 1u]),
                                                    dot(left, right[c * 4u + 2u]), dot(left, right[c * 4u + 3u]));
                }
            }
        }
    }
}

// acc[r, dims] += Σ_c weights[r, c]·stream[c, dims]
fn accumulate(stream: u32, weights: ptr<function, Scores>, acc: ptr<function, Accumulator>) {
    workgroupBarrier();
    for (var r = 0u; r < OWN; r++) { // unroll
        for (var c = 0u; c < STREAM4; c++) { // unroll
            weight_tile[(own_lane * OWN + r) * TILE_STREAM4 + stream_lane * STREAM4 + c] = (*weights)[r * STREAM4 + c];
        }
    }
    // VALUES4 of an invocation's WIDTH4 columns at a time: as many as there is memory for.
    for (var b = 0u; b < VALUE_BLOCKS; b++) { // unroll
        workgroupBarrier();
        for (var n = lane; n < VALUE_TILE; n += INVOCATIONS) {
            stream_tile[n] = value4(stream, stream_first + n / VALUE_COLS, b * VALUE_COLS + n % VALUE_COLS);
        }
        workgroupBarrier();
        for (var j4 = 0u; j4 < TILE_STREAM4; j4++) {
            var value: array<vec4<f32>, VALUES>;            // [4, VALUES4]
            for (var e = 0u; e < 4u; e++) { // unroll
                for (var w = 0u; w < VALUES4; w++) { // unroll
                    value[e * VALUES4 + w] = stream_tile[(j4 * 4u + e) * VALUE_COLS + w * SIDE + stream_lane];
                }
            }
            for (var r = 0u; r < OWN; r++) { // unroll
                let p = weight_tile[(own_lane * OWN + r) * TILE_STREAM4 + j4];
                for (var w = 0u; w < VALUES4; w++) { // unroll
                    (*acc)[r * WIDTH4 + b * VALUES4 + w] += p.x * value[w] + p.y * value[VALUES4 + w]
                        + p.z * value[2u * VALUES4 + w] + p.w * value[3u * VALUES4 + w];
                }
            }
        }
    }
}

// Every row's SIDE partial values, folded in one order by all invocations that hold the row.
fn gather_rows(values: ptr<function, Rows>) {
    workgroupBarrier();
    for (var r = 0u; r < OWN; r++) { // unroll
        row_tile[(own_lane * OWN + r) * SIDE + stream_lane] = (*values)[r];
    }
    workgroupBarrier();
}
fn rows_max(values: ptr<function, Rows>) {
    gather_rows(values);
    for (var r = 0u; r < OWN; r++) { // unroll
        for (var s = 0u; s < SIDE; s++) {
            (*values)[r] = max((*values)[r], row_tile[(own_lane * OWN + r) * SIDE + s]);
        }
    }
}
fn rows_sum(values: ptr<function, Rows>) {
    gather_rows(values);
    for (var r = 0u; r < OWN; r++) { // unroll
        (*values)[r] = 0.0;
        for (var s = 0u; s < SIDE; s++) {
            (*values)[r] += row_tile[(own_lane * OWN + r) * SIDE + s];
        }
    }
}
