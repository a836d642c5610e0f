// Slot row: online softmax of local-linear rows, o = Σ_j P_j (1 - (t_j - c)) v_j with t = r·k, c = Σ_j P_j t_j. Own row r < QUERIES is a query's, r +
// QUERIES that of its slope: its accumulator is Σ_j exp(z_j - m) (t_j - b) v_j. The base b is the mean of the products so far, so that what is large
// and common to them cancels before it is summed. All invocations of a row hold the same m, b and l; of Σ_j exp(z_j - m) (t_j - b) the part of
// their own scores. A row that has seen no key has l = 0. Slot: moments.
const LOWEST: f32 = -LIMIT;
const MOST_PRODUCT: f32 = 1.0e38;

var<private> row_peak: array<f32, QUERIES>;
var<private> row_sum: array<f32, QUERIES>;
var<private> row_base: array<f32, QUERIES>;
var<private> row_tilt: array<f32, QUERIES>;

fn row_begin(with_sink: bool) {
    for (var r = 0u; r < QUERIES; r++) { // unroll
        row_peak[r] = -LIMIT;
        row_sum[r] = 0.0;
        row_base[r] = 0.0;
        row_tilt[r] = 0.0;
    }
}

// l, b and both accumulators of own row r, as they are once m has grown by the logarithm of 1/rescale and b by `by`.
fn rebase(r: u32, rescale: f32, by: f32, acc: ptr<function, Accumulator>) {
    let base = row_base[r] + by;
    let moved = base - row_base[r];
    row_base[r] = base;
    row_sum[r] *= rescale;
    row_tilt[r] = row_tilt[r] * rescale - select(0.0, moved * row_sum[r], holds_first_column());
    for (var w = 0u; w < WIDTH4; w++) { // unroll
        let values = (*acc)[r * WIDTH4 + w] * rescale;
        (*acc)[r * WIDTH4 + w] = values;
        (*acc)[(r + QUERIES) * WIDTH4 + w] = (*acc)[(r + QUERIES) * WIDTH4 + w] * rescale - moved * values;
    }
}

// scores → weights exp(z - m), and those times t - b, in place. A hidden score is far below any m, so its weight is 0.
fn row_update(scores: ptr<function, Scores>, acc: ptr<function, Accumulator>, seen: bool) {
    var peak: Rows;
    for (var r = 0u; r < QUERIES; r++) { // unroll
        peak[r / 4u][r % 4u] = row_peak[r];
        for (var c = 0u; c < STREAM4; c++) { // unroll
            let z = (*scores)[r * STREAM4 + c];
            peak[r / 4u][r % 4u] = max(peak[r / 4u][r % 4u], max(max(z.x, z.y), max(z.z, z.w)));
        }
    }
    rows_max(&peak);
    // Of the tile: sums of weights, and of weights times t - b by the base so far.
    var sums: Rows;
    for (var r = 0u; r < QUERIES; r++) { // unroll
        var sum = 0.0;
        var tilt = 0.0;
        for (var c = 0u; c < STREAM4; c++) { // unroll
            let z = (*scores)[r * STREAM4 + c];
            let p = exp(z - peak[r / 4u][r % 4u]);
            let product = select((*scores)[(r + QUERIES) * STREAM4 + c], vec4(0.0), z < vec4(HIDDEN_BELOW));
            let t = clamp(product, vec4(-MOST_PRODUCT), vec4(MOST_PRODUCT));
            (*scores)[r * STREAM4 + c] = p;
            (*scores)[(r + QUERIES) * STREAM4 + c] = t;
            sum += (p.x + p.y) + (p.z + p.w);
            tilt += dot(p, t - row_base[r]);
        }
        sums[r / 4u][r % 4u] = sum;
        sums[(r + QUERIES) / 4u][(r + QUERIES) % 4u] = tilt;
    }
    rows_sum(&sums);
    for (var r = 0u; r < QUERIES; r++) { // unroll
        let rescale = select(exp(row_peak[r] - peak[r / 4u][r % 4u]), 1.0, row_peak[r] == peak[r / 4u][r % 4u]);
        let total = row_sum[r] * rescale + sums[r / 4u][r % 4u];
        rebase(r, rescale, select(sums[(r + QUERIES) / 4u][(r + QUERIES) % 4u] / max(total, 1.0e-30), 0.0, total == 0.0), acc);
        row_peak[r] = peak[r / 4u][r % 4u];
        row_sum[r] = total;
        for (var c = 0u; c < STREAM4; c++) { // unroll
            let tilted = (*scores)[r * STREAM4 + c] * ((*scores)[(r + QUERIES) * STREAM4 + c] - row_base[r]);
            (*scores)[(r + QUERIES) * STREAM4 + c] = tilted;
            row_tilt[r] += (tilted.x + tilted.y) + (tilted.z + tilted.w);
        }
    }
}

// o in the rows of queries, v_mean = acc / l in those of slopes; 0 for a row without keys.
fn row_end(acc: ptr<function, Accumulator>) {
    var total: Rows;
    for (var r = 0u; r < QUERIES; r++) { // unroll
        total[r / 4u][r % 4u] = row_tilt[r];
    }
    rows_sum(&total);
    for (var r = 0u; r < QUERIES; r++) { // unroll
        let share = select(1.0 / max(row_sum[r], 1.0e-30), 0.0, row_sum[r] == 0.0);
        row_tilt[r] = total[r / 4u][r % 4u] * share;
        for (var w = 0u; w < WIDTH4; w++) { // unroll
            let mean = (*acc)[r * WIDTH4 + w] * share;
            (*acc)[r * WIDTH4 + w] = mean + (mean * row_tilt[r] - (*acc)[(r + QUERIES) * WIDTH4 + w] * share);
            (*acc)[(r + QUERIES) * WIDTH4 + w] = mean;
        }
    }
}

// lse = m + ln l and c of own row r, query i: -inf, as bits, and 0 for a row without keys.
fn row_store(r: u32, i: u32, in_sequence: bool) {
    let none = (row_sum[r] == 0.0) | !in_sequence;
    let lse = bitcast<u32>(row_peak[r] + log(max(row_sum[r], 1.0e-30)));
    store_numbers(i, select(lse, NEG_INF_BITS, none), bitcast<u32>(select(row_base[r] + row_tilt[r], 0.0, none)));
}

const ROW_STATE: u32 = 4u;
fn row_suspend(word: u32) {
    for (var r = 0u; r < QUERIES; r++) { // unroll
        side[word + r * 4u] = bitcast<u32>(row_peak[r]);
        side[word + r * 4u + 1u] = bitcast<u32>(row_sum[r]);
        side[word + r * 4u + 2u] = bitcast<u32>(row_base[r]);
        side[word + r * 4u + 3u] = bitcast<u32>(row_tilt[r]);
    }
}
fn row_resume(word: u32) {
    for (var r = 0u; r < QUERIES; r++) { // unroll
        row_peak[r] = side_f32(word + r * 4u);
        row_sum[r] = side_f32(word + r * 4u + 1u);
        row_base[r] = side_f32(word + r * 4u + 2u);
        row_tilt[r] = side_f32(word + r * 4u + 3u);
    }
}
// acc and what a row holds, and the part left at `word`, brought to one m and one b, and added. A share without keys has m = -LIMIT, l = 0 and no part.
fn row_merge(word: u32, part: ptr<function, Accumulator>, acc: ptr<function, Accumulator>) {
    for (var r = 0u; r < QUERIES; r++) { // unroll
        let of_part = side_f32(word + r * 4u);
        let peak = max(row_peak[r], of_part);
        let rescale_part = exp(of_part - peak);
        let sum_part = side_f32(word + r * 4u + 1u) * rescale_part;
        let base_part = side_f32(word + r * 4u + 2u);
        let rescale = exp(row_peak[r] - peak);
        let total = row_sum[r] * rescale + sum_part;
        rebase(r, rescale, select((base_part - row_base[r]) * (sum_part / max(total, 1.0e-30)), 0.0, total == 0.0), acc);
        let by = row_base[r] - base_part;
        row_peak[r] = peak;
        row_sum[r] = total;
        row_tilt[r] += side_f32(word + r * 4u + 3u) * rescale_part - select(0.0, by * sum_part, holds_first_column());
        for (var w = 0u; w < WIDTH4; w++) { // unroll
            let values = (*part)[r * WIDTH4 + w] * rescale_part;
            (*acc)[r * WIDTH4 + w] += values;
            (*acc)[(r + QUERIES) * WIDTH4 + w] += (*part)[(r + QUERIES) * WIDTH4 + w] * rescale_part - by * values;
        }
    }
}
