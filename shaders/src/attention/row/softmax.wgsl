// Slot row: online softmax. Per own row the running maximum m and the running sum l of exp(z - m); the accumulator is rescaled when m
// grows. Every invocation that holds scores of a row holds the same m, and of l the part of its own scores: they are summed at the end.
// A row that has seen no key has l = 0.
const LOWEST: f32 = -LIMIT;

var<private> row_peak: array<f32, OWN>;
var<private> row_sum: array<f32, OWN>;

fn row_begin(with_sink: bool) {
    for (var r = 0u; r < OWN; r++) { // unroll
        row_peak[r] = -LIMIT;
        row_sum[r] = 0.0;
    }
    if with_sink & (params.sink_at != ABSENT) {
        for (var r = 0u; r < OWN; r++) { // unroll
            enter_head_of(own_position(r));
            let sink = sink_of(query_of(own_position(r)));
            row_peak[r] = max(sink, -LIMIT);
            row_sum[r] = select(0.0, 1.0, holds_first_column() & !is_hidden(sink));
        }
    }
}

// scores → weights exp(z - m), in place; acc and l rescaled to the new m. A hidden score is far below any m, so its weight is 0.
fn row_update(scores: ptr<function, Scores>, acc: ptr<function, Accumulator>, seen: bool) {
    var peak: Rows;
    for (var r = 0u; r < OWN; r++) { // unroll
        peak[r / 4u][r % 4u] = row_peak[r];
        for (var c = 0u; c < STREAM4; c++) { // unroll
            let z = (*scores)[r * STREAM4 + c];
            peak[r / 4u][r % 4u] = max(peak[r / 4u][r % 4u], max(max(z.x, z.y), max(z.z, z.w)));
        }
    }
    rows_max(&peak);
    for (var r = 0u; r < OWN; r++) { // unroll
        let rescale = select(exp(row_peak[r] - peak[r / 4u][r % 4u]), 1.0, row_peak[r] == peak[r / 4u][r % 4u]);
        row_peak[r] = peak[r / 4u][r % 4u];
        row_sum[r] *= rescale;
        for (var w = 0u; w < WIDTH4; w++) { // unroll
            (*acc)[r * WIDTH4 + w] *= rescale;
        }
        for (var c = 0u; c < STREAM4; c++) { // unroll
            let p = exp((*scores)[r * STREAM4 + c] - peak[r / 4u][r % 4u]);
            (*scores)[r * STREAM4 + c] = p;
            row_sum[r] += (p.x + p.y) + (p.z + p.w);
        }
    }
}

// acc / l; 0 for a row without keys.
fn row_end(acc: ptr<function, Accumulator>) {
    var total: Rows;
    for (var r = 0u; r < OWN; r++) { // unroll
        total[r / 4u][r % 4u] = row_sum[r];
    }
    rows_sum(&total);
    for (var r = 0u; r < OWN; r++) { // unroll
        row_sum[r] = total[r / 4u][r % 4u];
        let share = select(1.0 / max(row_sum[r], 1.0e-30), 0.0, row_sum[r] == 0.0);
        for (var w = 0u; w < WIDTH4; w++) { // unroll
            (*acc)[r * WIDTH4 + w] *= share;
        }
    }
}

// lse = m + ln l of own row r, query i: -inf, as bits, for a row without keys.
fn row_store(r: u32, i: u32, in_sequence: bool) {
    let value = bitcast<u32>(row_peak[r] + log(max(row_sum[r], 1.0e-30)));
    store_lse(i, select(value, NEG_INF_BITS, (row_sum[r] == 0.0) | !in_sequence));
}

const ROW_STATE: u32 = 2u;
fn row_suspend(word: u32) {
    for (var r = 0u; r < OWN; r++) { // unroll
        side[word + r * 2u] = bitcast<u32>(row_peak[r]);
        side[word + r * 2u + 1u] = bitcast<u32>(row_sum[r]);
    }
}
fn row_resume(word: u32) {
    for (var r = 0u; r < OWN; r++) { // unroll
        row_peak[r] = side_f32(word + r * 2u);
        row_sum[r] = side_f32(word + r * 2u + 1u);
    }
}
// acc, l and the part left at `word` rescaled to the larger m, and added. A share without keys has m = -LIMIT, l = 0 and no part.
fn row_merge(word: u32, part: ptr<function, Accumulator>, acc: ptr<function, Accumulator>) {
    for (var r = 0u; r < OWN; r++) { // unroll
        let of_part = side_f32(word + r * 2u);
        let peak = max(row_peak[r], of_part);
        let rescale = exp(row_peak[r] - peak);
        let rescale_part = exp(of_part - peak);
        row_peak[r] = peak;
        row_sum[r] = row_sum[r] * rescale + side_f32(word + r * 2u + 1u) * rescale_part;
        for (var w = 0u; w < WIDTH4; w++) { // unroll
            (*acc)[r * WIDTH4 + w] = (*acc)[r * WIDTH4 + w] * rescale + (*part)[r * WIDTH4 + w] * rescale_part;
        }
    }
}
