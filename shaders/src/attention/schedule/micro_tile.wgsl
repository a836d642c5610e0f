// Slot schedule for GPUs: a workgroup of ROWS × COLS invocations, each with an OWN × STREAM micro-tile of scores in registers; operands
// are staged in workgroup memory, DEPTH4 vec4s of dims at a time, weights and values 4·BLOCK_COLS
// positions at a time. No subgroup operation.
// Rows and columns of a micro-tile lie ROWS and COLS apart. Invocations side by side read from different banks: the stream operand lies by
// dims, its rows swizzled so that storing finds different banks too.
// Over the cap: staging, products and row sums are one schedule, and share its two tiles.
// WRITE_OUT: whether loops over workgroup memory are written out, as GPUs want them.
//   TILE_OWN = ROWS·OWN, TILE_STREAM = COLS·STREAM, STREAM = 4·STREAM4; an accumulator row's dims are spread over the COLS columns
var<workgroup> own_tile: array<vec4<f32>, OWN_TILE>;        // own operand [TILE_OWN, DEPTH4] or weights [TILE_OWN, BLOCK_COLS]
var<workgroup> stream_tile: array<vec4<f32>, STREAM_TILE>;  // stream operand [DEPTH4, TILE_STREAM] or values [4·BLOCK_COLS, VALUE_COLS]

// Every index below stays inside: what is staged, read and folded fits its array, and every invocation loads as often as any other.
const_assert (INVOCATIONS == ROWS * COLS);
const_assert (TILE_OWN == ROWS * OWN);
const_assert (TILE_STREAM == COLS * STREAM);
const_assert (OWN_LOADS * INVOCATIONS == TILE_OWN * DEPTH4);
const_assert (STREAM_LOADS * INVOCATIONS == TILE_STREAM * DEPTH4);
const_assert (4u * VALUE_LOADS * INVOCATIONS == 4u * BLOCK_COLS * VALUE_COLS);
const_assert (COLS % BLOCK_COLS == 0u);
const_assert ((DEPTH4 - 1u) * SWIZZLE < COLS);
const_assert (OWN_TILE >= TILE_OWN * DEPTH4);
const_assert (OWN_TILE >= TILE_OWN * BLOCK_COLS);
const_assert (OWN_TILE >= OWN4 * INVOCATIONS);
const_assert (STREAM_TILE >= TILE_STREAM * DEPTH4);
const_assert (STREAM_TILE >= 4u * BLOCK_COLS * VALUE_COLS);

var<private> lane: u32;
var<private> own_lane: u32;      // row of the invocation in the workgroup
var<private> stream_lane: u32;   // column
var<private> own_first: u32;
var<private> stream_first: u32;

fn take_place(invocation: u32) {
    lane = invocation;
    own_lane = invocation / COLS;
    stream_lane = invocation % COLS;
}
fn own_position(r: u32) -> u32 { return own_first + r * ROWS + own_lane; }
fn stream_position(c: u32) -> u32 { return stream_first + c * COLS + stream_lane; }
fn dim4(w: u32) -> u32 { return w * COLS + stream_lane; }
fn holds_first_column() -> bool { return stream_lane == 0u; }

// The first invocation's range, as a value that a compiler can see to be uniform: loops with barriers run over it. In 16-bit halves, which
// are exact as floats, so that it needs no memory of its own.
fn same_for_all(range: vec2<u32>) -> vec2<u32> {
    if lane == 0u { own_tile[0] = vec4<f32>((range.xyxy >> vec4(16u, 16u, 0u, 0u)) & vec4(0xffffu)); }
    let halves = vec4<u32>(workgroupUniformLoad(&own_tile[0]));
    return (halves.xy << vec2(16u)) | halves.zw;
}

// own_tile ← dims 4·first .. of the own rows. head: where this invocation's first row begins; a tile within the sequence
// needs no look at each row.
fn stage_own(operand: u32, head: u32, first: u32) {
    let d4 = first + lane % DEPTH4;
    if own_first + TILE_OWN <= own_len() {
        for (var n = 0u; n < OWN_LOADS; n++) { // unroll if WRITE_OUT
            own_tile[n * INVOCATIONS + lane] = own4(operand, head, n * DEPTH_ROWS * own_next(operand), d4);
        }
    } else {
        for (var n = 0u; n < OWN_LOADS; n++) { // unroll if WRITE_OUT
            own_tile[n * INVOCATIONS + lane] = own4(operand, own_row(operand, own_first + n * DEPTH_ROWS + lane / DEPTH4), 0u, d4);
        }
    }
}

// Where this invocation stages the first of its stream rows.
fn stream_place() -> u32 { return lane % DEPTH4 * TILE_STREAM + ((lane / DEPTH4) ^ (lane % DEPTH4 * SWIZZLE)); }

// Dims beyond depth4 ← 0 in both tiles: what stands in for them may be infinite.
fn clear_beyond(first: u32, depth4: u32) {
    if first + lane % DEPTH4 >= depth4 {
        for (var n = 0u; n < OWN_LOADS; n++) { // unroll if WRITE_OUT
            own_tile[n * INVOCATIONS + lane] = vec4(0.0);
        }
        for (var n = 0u; n < STREAM_LOADS; n++) { // unroll if WRITE_OUT
            stream_tile[stream_place() + n * DEPTH_ROWS] = vec4(0.0);
        }
    }
}

// stream_tile ← the same dims of the stream rows.
fn stage_stream(operand: u32, head: u32, first: u32) {
    let d4 = first + lane % DEPTH4;
    let place = stream_place();
    if stream_first + TILE_STREAM <= stream_len() {
        for (var n = 0u; n < STREAM_LOADS; n++) { // unroll if WRITE_OUT
            stream_tile[place + n * DEPTH_ROWS] = stream4(operand, head, n * DEPTH_ROWS * stream_next(operand), d4);
        }
    } else {
        for (var n = 0u; n < STREAM_LOADS; n++) { // unroll if WRITE_OUT
            stream_tile[place + n * DEPTH_ROWS] =
                stream4(operand, stream_row(operand, stream_first + n * DEPTH_ROWS + lane / DEPTH4), 0u, d4);
        }
    }
}

// out[r, c] = Σ_d own[r, d]·stream[c, d] over depth4 vec4s of dims
fn product(own: u32, stream: u32, depth4: u32, out: ptr<function, Scores>) {
    for (var i = 0u; i < SCORES; i++) { // unroll
        (*out)[i] = vec4(0.0);
    }
    let own_head = own_row(own, own_first + lane / DEPTH4);
    let stream_head = stream_row(stream, stream_first + lane / DEPTH4);
    for (var first = 0u; first < depth4; first += DEPTH4) {
        workgroupBarrier();
        stage_own(own, own_head, first);
        stage_stream(stream, stream_head, first);
        if first + DEPTH4 > depth4 { clear_beyond(first, depth4); }
        workgroupBarrier();
        for (var d4 = 0u; d4 < DEPTH4; d4++) { // unroll if WRITE_OUT
            var right = array<vec4<f32>, STREAM>();            // [STREAM, 4]
            for (var c = 0u; c < STREAM; c++) { // unroll
                right[c] = stream_tile[d4 * TILE_STREAM + c * COLS + (stream_lane ^ (d4 * SWIZZLE))];
            }
            for (var r = 0u; r < OWN; r++) { // unroll
                let left = own_tile[(r * ROWS + own_lane) * DEPTH4 + d4];
                for (var c = 0u; c < STREAM4; c++) { // unroll
                    for (var e = 0u; e < 4u; e++) { // unroll
                        (*out)[r * STREAM4 + c] = fma(vec4(left[e]), vec4(right[c * 4u][e], right[c * 4u + 1u][e],
                                                      right[c * 4u + 2u][e], right[c * 4u + 3u][e]), (*out)[r * STREAM4 + c]);
                    }
                }
            }
        }
    }
}

// stream_tile ← the values of BLOCK_COLS columns of stream positions from `first` on, in the order e, column: each e is COLS positions apart.
fn stage_values(stream: u32, head: u32, first: u32) {
    let d4 = lane % VALUE_COLS;
    if stream_first + TILE_STREAM <= stream_len() {
        let begin = head + (first - stream_first) * stream_next(stream);
        for (var e = 0u; e < 4u; e++) { // unroll if WRITE_OUT
            for (var n = 0u; n < VALUE_LOADS; n++) { // unroll if WRITE_OUT
                stream_tile[(e * VALUE_LOADS + n) * INVOCATIONS + lane] = stream4(stream, begin,
                    (e * COLS + n * INVOCATIONS / VALUE_COLS) * stream_next(stream), n * INVOCATIONS % VALUE_COLS + d4);
            }
        }
    } else {
        for (var e = 0u; e < 4u; e++) { // unroll if WRITE_OUT
            for (var n = 0u; n < VALUE_LOADS; n++) { // unroll if WRITE_OUT
                let row = stream_row(stream, first + e * COLS + n * INVOCATIONS / VALUE_COLS + lane / VALUE_COLS);
                stream_tile[(e * VALUE_LOADS + n) * INVOCATIONS + lane] = stream4(stream, row, 0u, n * INVOCATIONS % VALUE_COLS + d4);
            }
        }
    }
    if any_not_finite() {
        for (var n = 0u; n < 4u * VALUE_LOADS; n++) {
            stream_tile[n * INVOCATIONS + lane] = finite4(stream_tile[n * INVOCATIONS + lane]);
        }
    }
}

// acc[r, dims] += Σ_c weights[r, c]·stream[c, dims]
fn accumulate(stream: u32, weights: ptr<function, Scores>, acc: ptr<function, Accumulator>) {
    let head = stream_row(stream, stream_first + lane / VALUE_COLS);
    for (var c = 0u; c < STREAM4; c++) { // unroll
        for (var b = 0u; b < COLS; b += BLOCK_COLS) {
            workgroupBarrier();
            if (stream_lane >= b) & (stream_lane < b + BLOCK_COLS) {
                for (var r = 0u; r < OWN; r++) { // unroll
                    own_tile[(r * ROWS + own_lane) * BLOCK_COLS + stream_lane - b] = (*weights)[r * STREAM4 + c];
                }
            }
            stage_values(stream, head, stream_first + c * 4u * COLS + b);
            workgroupBarrier();
            for (var j = 0u; j < BLOCK_COLS; j++) { // unroll if WRITE_OUT
                var p = array<vec4<f32>, OWN>();               // [OWN, 4]
                for (var r = 0u; r < OWN; r++) { // unroll
                    p[r] = own_tile[(r * ROWS + own_lane) * BLOCK_COLS + j];
                }
                for (var e = 0u; e < 4u; e++) { // unroll
                    for (var w = 0u; w < WIDTH4; w++) { // unroll
                        let value = stream_tile[(e * BLOCK_COLS + j) * VALUE_COLS + w * COLS + stream_lane];
                        for (var r = 0u; r < OWN; r++) { // unroll
                            (*acc)[r * WIDTH4 + w] = fma(vec4(p[r][e]), value, (*acc)[r * WIDTH4 + w]);
                        }
                    }
                }
            }
        }
    }
}

// Every row's COLS partial values, for all invocations that hold the row: 4 rows a vec4.
fn gather_rows(values: ptr<function, Rows>) {
    workgroupBarrier();
    for (var r = 0u; r < OWN4; r++) { // unroll
        own_tile[r * INVOCATIONS + lane] = (*values)[r];
    }
    workgroupBarrier();
}
// Folded in one order.
fn rows_max(values: ptr<function, Rows>) {
    gather_rows(values);
    for (var r = 0u; r < OWN4; r++) { // unroll
        for (var s = 0u; s < COLS; s++) { // unroll
            (*values)[r] = max((*values)[r], own_tile[r * INVOCATIONS + own_lane * COLS + s]);
        }
    }
}
fn rows_sum(values: ptr<function, Rows>) {
    gather_rows(values);
    for (var r = 0u; r < OWN4; r++) { // unroll
        (*values)[r] = vec4(0.0);
        for (var s = 0u; s < COLS; s++) { // unroll
            (*values)[r] += own_tile[r * INVOCATIONS + own_lane * COLS + s];
        }
    }
}
