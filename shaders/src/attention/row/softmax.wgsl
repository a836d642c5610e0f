// Slot row: online softmax. Per own row the running maximum m and the running sum l of exp(z - m); the accumulator is rescaled when m
// grows. Every invocation that holds scores of a row holds the same m and l. A row that has seen no key has l = 0.
var<private> row_peak: array<f32, OWN>;
var<private> row_sum: array<f32, OWN>;

fn row_begin() {
    for (var r = 0u; r < OWN; r++) { // unroll
        row_peak[r] = -LIMIT;
        row_sum[r] = 0.0;
    }
    if params.sink_at != ABSENT {
        let sink = clamp(side_f32(params.sink_at + at.q_head), -LIMIT, LIMIT);
        for (var r = 0u; r < OWN; r++) { // unroll
            row_peak[r] = sink;
            row_sum[r] = 1.0;
        }
    }
}

// scores → weights exp(z - m), in place; acc and l rescaled to the new m.
fn row_update(scores: ptr<function, Scores>, acc: ptr<function, Accumulator>) {
    var peak: Rows;
    for (var r = 0u; r < OWN; r++) { // unroll
        peak[r] = row_peak[r];
        for (var c = 0u; c < STREAM4; c++) { // unroll
            let z = max((*scores)[r * STREAM4 + c], vec4(-LIMIT));
            peak[r] = max(peak[r], max(max(z.x, z.y), max(z.z, z.w)));
        }
    }
    rows_max(&peak);
    var total: Rows;
    for (var r = 0u; r < OWN; r++) { // unroll
        let rescale = select(exp(row_peak[r] - peak[r]), 1.0, row_peak[r] == peak[r]);
        row_peak[r] = peak[r];
        row_sum[r] *= rescale;
        for (var w = 0u; w < WIDTH4; w++) { // unroll
            (*acc)[r * WIDTH4 + w] *= rescale;
        }
        total[r] = 0.0;
        for (var c = 0u; c < STREAM4; c++) { // unroll
            let z = (*scores)[r * STREAM4 + c];
            let p = select(exp(z - peak[r]), vec4(0.0), z < vec4(HIDDEN_BELOW));
            (*scores)[r * STREAM4 + c] = p;
            total[r] += (p.x + p.y) + (p.z + p.w);
        }
    }
    rows_sum(&total);
    for (var r = 0u; r < OWN; r++) { // unroll
        row_sum[r] += total[r];
    }
}

// acc / l; 0 for a row without keys.
fn row_end(acc: ptr<function, Accumulator>) {
    for (var r = 0u; r < OWN; r++) { // unroll
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
