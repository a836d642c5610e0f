// Slot row of matrix tiles: online softmax. All invocations of a row hold its peak m, and each the sum l of its own weights
// 2^11·exp(z - m): they are summed at the end.
// Matrices have no rows that could be scaled, so a rescale of the accumulator is a way through workgroup memory. It is put off until some row's
// maximum is ROOM above its m: till then weights are at most 2^11·exp(ROOM) < 2^16, which f16 holds, and in f16 they are normal numbers down to
// 2^-25 of the largest. A row that has seen no key has l = 0.
const LOWEST: f32 = -LIMIT;
const ROOM: f32 = 2.77;
const SHIFT: f32 = 11.0;

var<private> row_peak: f32;
var<private> row_sum: f32;
var<private> row_factor: f32;     // of the accumulator, at the tile at hand
var<workgroup> grown: atomic<u32>;
var<workgroup> some_grown: u32;

fn row_begin() {
    let sink = sink_of(own_position());
    row_peak = max(sink, -LIMIT);
    row_sum = select(0.0, exp2(SHIFT), holds_first_column() & !is_hidden(sink));
}

// scores → 2^11·exp(z - m), in place; l rescaled to the new m. A hidden score is far below any m, so its weight is 0.
fn row_update(scores: ptr<function, Scores>, seen: bool) {
    var top = (*scores)[0];
    for (var c = 0u; c < STREAM4; c++) { // unroll
        top = max(top, (*scores)[c]);
    }
    let peak = row_max(max(max(top.x, top.y), max(top.z, top.w)));
    let grows = peak > row_peak + ROOM;
    row_factor = select(1.0, exp(max(row_peak - peak, -200.0)), grows);
    row_peak = select(row_peak, peak, grows);
    if grows { atomicMax(&grown, 1u); }
    var sum = vec4(0.0);
    for (var c = 0u; c < STREAM4; c++) { // unroll
        let p = exp2(fma((*scores)[c] - row_peak, vec4(LOG2_E), vec4(SHIFT)));
        (*scores)[c] = p;
        sum += p;
    }
    row_sum = row_sum * row_factor + ((sum.x + sum.y) + (sum.z + sum.w));
}

// acc to the new m. After a barrier.
fn row_rescale(acc: ptr<function, Accumulator>) {
    if lane == 0u { some_grown = atomicLoad(&grown); }
    if workgroupUniformLoad(&some_grown) != 0u {
        if lane == 0u { atomicStore(&grown, 0u); }
        scale_rows(acc, row_factor);
    }
}

fn row_end() { row_sum = row_total(row_sum); }

// 1/l; 0 for a row without keys.
fn row_share() -> f32 { return select(1.0 / max(row_sum, 1.0e-30), 0.0, row_sum == 0.0); }

// lse = m + ln(l / 2^11): -inf, as bits, for a row without keys.
fn row_store(i: u32, in_sequence: bool) {
    let value = bitcast<u32>(row_peak + log(max(row_sum, 1.0e-30) * exp2(-SHIFT)));
    store_lse(i, select(value, NEG_INF_BITS, (row_sum == 0.0) | !in_sequence));
}

fn row_suspend(word: u32) {
    side[word] = bitcast<u32>(row_peak);
    side[word + 1u] = bitcast<u32>(row_sum);
}
fn row_resume(word: u32) {
    row_peak = side_f32(word);
    row_sum = side_f32(word + 1u);
}
