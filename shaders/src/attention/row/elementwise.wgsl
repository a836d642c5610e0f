// Slot row: weights that are a function φ of their own score (slot phi), re-weighted or not (slot reweight), divided by a number per row (slot
// normalizer). Every invocation that
// holds scores of a row sums what they contribute to that number: the parts are summed at the end. No maximum, no rescale.
var<private> row_total: array<f32, OWN>;

fn row_begin(with_sink: bool) {
    for (var r = 0u; r < OWN; r++) { // unroll
        row_total[r] = 0.0;
    }
    reweight_begin();
}

// scores → weights, in place; seen: no score of the tile is hidden. A hidden score has weight 0.
fn row_update(scores: ptr<function, Scores>, acc: ptr<function, Accumulator>, seen: bool) {
    for (var r = 0u; r < OWN; r++) { // unroll
        for (var c = 0u; c < STREAM4; c++) { // unroll
            let z = (*scores)[r * STREAM4 + c];
            let hidden = z < vec4(HIDDEN_BELOW);
            let a = reweighted4(r, select(phi4(select(z, vec4(0.0), hidden)), vec4(0.0), hidden));
            let part = summand4(a, hidden);
            row_total[r] += (part.x + part.y) + (part.z + part.w);
            (*scores)[r * STREAM4 + c] = a;
        }
    }
}

// acc / n
fn row_end(acc: ptr<function, Accumulator>) {
    var total: Rows;
    for (var r = 0u; r < OWN; r++) { // unroll
        total[r / 4u][r % 4u] = row_total[r];
    }
    rows_sum(&total);
    for (var r = 0u; r < OWN; r++) { // unroll
        row_total[r] = total[r / 4u][r % 4u];
        let share = row_share(row_total[r], own_position(r));
        for (var w = 0u; w < WIDTH4; w++) { // unroll
            (*acc)[r * WIDTH4 + w] *= share;
        }
    }
}

fn row_store(r: u32, p: u32, in_sequence: bool) {
    store_lse(p, select(0u, bitcast<u32>(row_total[r]), in_sequence));
}

const ROW_STATE: u32 = 1u;
fn row_suspend(word: u32) {
    for (var r = 0u; r < OWN; r++) { // unroll
        side[word + r] = bitcast<u32>(row_total[r]);
    }
}
fn row_resume(word: u32) {
    for (var r = 0u; r < OWN; r++) { // unroll
        row_total[r] = side_f32(word + r);
    }
}
// acc += part, and the row's number likewise: sums over shares of the keys need nothing else.
fn row_merge(word: u32, part: ptr<function, Accumulator>, acc: ptr<function, Accumulator>) {
    for (var r = 0u; r < OWN; r++) { // unroll
        row_total[r] += side_f32(word + r);
    }
    for (var w = 0u; w < ACCUMULATORS; w++) { // unroll
        (*acc)[w] += (*part)[w];
    }
}
