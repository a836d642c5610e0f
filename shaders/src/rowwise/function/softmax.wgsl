// Slot function: y = exp(s − max) / Σ. A row without weight gives 0.
// After conclude, sum is the factor 1 / Σ.
fn conclude(row: Row, stat: Stat) -> Stat {
    return Stat(stat.top, select(1.0 / max(stat.sum, 0.5), 0.0, stat.sum == 0.0), stat.marks);
}

fn value(row: Row, col: u32, stat: Stat) -> vec4<f32> {
    let s = logits(row, col);
    let share = select(vec4(0.0), exp_twice(s.half - vec4(stat.top)) * stat.sum, s.weighs);
    let counts = columns(col) < vec4(row.len);
    return select(share, vec4(bitcast<f32>(params.nan)), counts & vec4(is_bad(stat)));
}
