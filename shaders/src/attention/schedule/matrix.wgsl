// Slot schedule for matrix units: a workgroup is one subgroup, whose invocations multiply matrices of EDGE × EDGE together, f16 in, f32 out.
// A tile is TILE_OWN = EDGE·OWN_PARTS queries against TILE_STREAM = EDGE·STREAM_PARTS keys. What needs single elements goes through workgroup
// memory, where an invocation has STREAM = TILE_STREAM / COLS positions of one row, INVOCATIONS = TILE_OWN·COLS. No subgroup operation: a driver
// is known to crash on a module with both. A driver that makes several subgroups of the workgroup computes the same in each.
// Rows are padded by 16 bytes, so that the rows of a matrix begin in different banks.
var<workgroup> query_tile: array<vec4<f16>, QUERY_TILE>;    // [TILE_OWN, HEAD_STRIDE4]
var<workgroup> stream_tile: array<vec4<f16>, STREAM_TILE>;  // keys [TILE_STREAM, HEAD_STRIDE4], or values by dims [val_dim, KEY_STRIDE4]
var<workgroup> score_tile: array<vec4<f32>, SCORE_TILE>;    // products, or a part of the accumulator [TILE_OWN, SCORE_STRIDE4]
var<workgroup> weight_tile: array<vec4<f16>, WEIGHT_TILE>;  // [TILE_OWN, KEY_STRIDE4]
var<workgroup> row_parts: array<f32, INVOCATIONS>;          // of a maximum or a sum
var<workgroup> shared_range: vec2<u32>;

var<private> lane: u32;
var<private> own_lane: u32;      // the invocation's row of the tile
var<private> column: u32;        // and its part of that row
var<private> own_first: u32;     // first own position of the tile
var<private> stream_first: u32;  // first stream position of the tile
var<private> key_head: u32;      // first vec4 that the invocation moves of the first tile of keys, if it is whole
var<private> value_head: u32;    // the same of values

// After enter.
fn take_place(invocation: u32) {
    lane = invocation;
    own_lane = invocation % TILE_OWN;
    column = invocation / TILE_OWN;
    key_head = k_row(pair_row()) + pair_column();
    value_head = v_row(value_quad() * 4u) + value_column();
}
fn own_position() -> u32 { return own_first + own_lane; }
fn stream_position(c: u32) -> u32 { return stream_first + column * STREAM + c; }
fn holds_first_column() -> bool { return column == 0u; }
// Places of the invocation's positions of its row of scores and weights, and of its dims of a part of the accumulator.
fn score_place() -> u32 { return own_lane * SCORE_STRIDE4 + column * STREAM4; }
fn weight_place() -> u32 { return own_lane * KEY_STRIDE4 + column * STREAM4; }
fn part_place() -> u32 { return own_lane * SCORE_STRIDE4 + column * PART4; }

// The first invocation's range, as a value that a compiler can see to be uniform: loops with barriers run over it.
fn same_for_all(range: vec2<u32>) -> vec2<u32> {
    if lane == 0u { shared_range = range; }
    return workgroupUniformLoad(&shared_range);
}

// Invocation → the first of the two vec4s side by side that it moves of a row of queries or keys, and that row; of values, its vec4 and four rows.
fn pair_column() -> u32 { return lane % PAIR_LANES * 2u; }
fn pair_row() -> u32 { return lane / PAIR_LANES; }
fn value_column() -> u32 { return lane % VALUE_LANES; }
fn value_quad() -> u32 { return lane / VALUE_LANES; }

// query_tile ← the queries of the tile: once. Kept in matrix registers, they would fill half of a GPU's.
fn stage_queries() {
    for (var r = 0u; r < OWN_STEPS; r++) { // unroll
        let row = r * PAIR_ROWS + pair_row();
        let source = q_row(own_first + row) + pair_column();
        for (var c = 0u; c < PAIR_STEPS; c++) { // unroll
            for (var e = 0u; e < 2u; e++) { // unroll
                query_tile[row * HEAD_STRIDE4 + pair_column() + (c * PAIR_LANES * 2u + e)] = q[source + (c * PAIR_LANES * 2u + e)];
            }
        }
    }
}

// stream_tile ← the keys of the tile.
fn stage_keys() {
    let place = pair_row() * HEAD_STRIDE4 + pair_column();
    if stream_first + TILE_STREAM <= at.len_kv {
        let head = key_head + stream_first * k_next();
        for (var r = 0u; r < STREAM_STEPS; r++) { // unroll
            for (var c = 0u; c < PAIR_STEPS; c++) { // unroll
                for (var e = 0u; e < 2u; e++) { // unroll
                    stream_tile[place + (r * PAIR_ROWS * HEAD_STRIDE4 + c * PAIR_LANES * 2u + e)] =
                        k[head + r * PAIR_ROWS * k_next() + (c * PAIR_LANES * 2u + e)];
                }
            }
        }
    } else {
        for (var r = 0u; r < STREAM_STEPS; r++) { // unroll
            let head = k_row(stream_first + r * PAIR_ROWS + pair_row()) + pair_column();
            for (var c = 0u; c < PAIR_STEPS * 2u; c++) {
                let at4 = c / 2u * PAIR_LANES * 2u + c % 2u;
                stream_tile[place + r * PAIR_ROWS * HEAD_STRIDE4 + at4] = k[head + at4];
            }
        }
    }
}

// stream_tile from `place` on ← the 4 × 4 block of values of four keys, whose vec4 at `heads` and `skip` further on it is, by dims.
fn stage_block(place: u32, heads: vec4<u32>, skip: u32) {
    let rows = array<vec4<f16>, 4>(v[heads.x + skip], v[heads.y + skip], v[heads.z + skip], v[heads.w + skip]);
    for (var e = 0u; e < 4u; e++) { // unroll
        stream_tile[place + e * KEY_STRIDE4] = vec4(rows[0][e], rows[1][e], rows[2][e], rows[3][e]);
    }
}

// stream_tile ← the values of the tile, by dims: matrix units want the positions that are summed over side by side.
fn stage_values() {
    let place = value_column() * 4u * KEY_STRIDE4 + value_quad();
    if stream_first + TILE_STREAM <= at.len_kv {
        let head = value_head + stream_first * v_next();
        for (var r = 0u; r < QUAD_STEPS; r++) { // unroll
            let heads = head + (r * QUAD_ROWS * 4u + vec4(0u, 1u, 2u, 3u)) * v_next();
            for (var c = 0u; c < VALUE_STEPS; c++) { // unroll
                stage_block(place + (c * VALUE_LANES * 4u * KEY_STRIDE4 + r * QUAD_ROWS), heads, c * VALUE_LANES);
            }
        }
    } else {
        for (var r = 0u; r < QUAD_STEPS; r++) { // unroll
            let j = stream_first + (r * QUAD_ROWS + value_quad()) * 4u;
            let heads = vec4(v_row(j), v_row(j + 1u), v_row(j + 2u), v_row(j + 3u)) + value_column();
            for (var c = 0u; c < VALUE_STEPS; c++) {
                stage_block(place + (c * VALUE_LANES * 4u * KEY_STRIDE4 + r * QUAD_ROWS), heads, c * VALUE_LANES);
            }
        }
    }
}

// A value that is not finite counts as 0. Between two barriers.
fn clean_values() {
    for (var n = lane; n < VALUE_TILE; n += INVOCATIONS) {
        stream_tile[n] = vec4<f16>(finite4(vec4<f32>(stream_tile[n])));
    }
}

// score_tile ← staged queries · staged keysᵀ                           [TILE_OWN, TILE_STREAM]
fn product() {
    var sums: array<Sum, PRODUCTS>;
    for (var d = 0u; d < HEAD_PARTS; d++) { // unroll
        var queries = array<Left, OWN_PARTS>();
        for (var o = 0u; o < OWN_PARTS; o++) { // unroll
            queries[o] = coopLoadT<Left>(&query_tile[o * EDGE * HEAD_STRIDE4 + d * EDGE4], HEAD_STRIDE4);
        }
        for (var s = 0u; s < STREAM_PARTS; s++) { // unroll
            let keys = coopLoad<Right>(&stream_tile[s * EDGE * HEAD_STRIDE4 + d * EDGE4], HEAD_STRIDE4);
            for (var o = 0u; o < OWN_PARTS; o++) { // unroll
                sums[o * STREAM_PARTS + s] = coopMultiplyAdd(queries[o], keys, sums[o * STREAM_PARTS + s]);
            }
        }
    }
    for (var o = 0u; o < OWN_PARTS; o++) { // unroll
        for (var s = 0u; s < STREAM_PARTS; s++) { // unroll
            coopStoreT(sums[o * STREAM_PARTS + s], &score_tile[o * EDGE * SCORE_STRIDE4 + s * EDGE4], SCORE_STRIDE4);
        }
    }
}

// acc += weight_tile · staged values                                   [TILE_OWN, val_dim]
fn accumulate(acc: ptr<function, Accumulator>) {
    for (var s = 0u; s < STREAM_PARTS; s++) { // unroll
        var weights = array<Left, OWN_PARTS>();
        for (var o = 0u; o < OWN_PARTS; o++) { // unroll
            weights[o] = coopLoadT<Left>(&weight_tile[o * EDGE * KEY_STRIDE4 + s * EDGE4], KEY_STRIDE4);
        }
        for (var w = 0u; w < VALUE_PARTS; w++) { // unroll
            let values = coopLoad<Right>(&stream_tile[w * EDGE * KEY_STRIDE4 + s * EDGE4], KEY_STRIDE4);
            for (var o = 0u; o < OWN_PARTS; o++) { // unroll
                (*acc)[o * VALUE_PARTS + w] = coopMultiplyAdd(weights[o], values, (*acc)[o * VALUE_PARTS + w]);
            }
        }
    }
}

// The maximum and the sum of a row's parts, for all invocations that hold one, folded in one order.
fn gather_row(value: f32) {
    workgroupBarrier();
    row_parts[lane] = value;
    workgroupBarrier();
}
fn row_max(value: f32) -> f32 {
    gather_row(value);
    var folded = row_parts[own_lane];
    for (var s = 1u; s < COLS; s++) {
        folded = max(folded, row_parts[s * TILE_OWN + own_lane]);
    }
    return folded;
}
fn row_total(value: f32) -> f32 {
    gather_row(value);
    var folded = row_parts[own_lane];
    for (var s = 1u; s < COLS; s++) {
        folded += row_parts[s * TILE_OWN + own_lane];
    }
    return folded;
}

// acc's rows times a factor each, EDGE dims at a time through score_tile: there is no other way to a row of a matrix.
fn scale_rows(acc: ptr<function, Accumulator>, factor: f32) {
    for (var w = 0u; w < VALUE_PARTS; w++) { // unroll
        workgroupBarrier();
        for (var o = 0u; o < OWN_PARTS; o++) { // unroll
            coopStoreT((*acc)[o * VALUE_PARTS + w], &score_tile[o * EDGE * SCORE_STRIDE4], SCORE_STRIDE4);
        }
        workgroupBarrier();
        for (var c = 0u; c < PART4; c++) { // unroll
            score_tile[part_place() + c] *= factor;
        }
        workgroupBarrier();
        for (var o = 0u; o < OWN_PARTS; o++) { // unroll
            (*acc)[o * VALUE_PARTS + w] = coopLoadT<Sum>(&score_tile[o * EDGE * SCORE_STRIDE4], SCORE_STRIDE4);
        }
    }
}
