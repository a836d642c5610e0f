// Slot function: y = (s − max) − ln Σ; minus infinity where there is no weight.
// After conclude, sum is ln Σ.
fn conclude(row: Row, stat: Stat) -> Stat { return Stat(stat.top, log(max(stat.sum, 0.5)), stat.marks); }

fn value(row: Row, col: u32, stat: Stat) -> vec4<f32> {
    let s = logits(row, col);
    let below = 2.0 * max(s.half - vec4(stat.top), vec4(-LARGEST));       // s − max, within ±3.0e38
    let finite = max(below - vec4(stat.sum), vec4(-2.0 * LARGEST));
    let special = vec4(bitcast<f32>(select(params.minus_infinity, params.nan, is_bad(stat))));
    let counts = columns(col) < vec4(row.len);
    return select(vec4(0.0), select(special, finite, s.weighs & vec4(!is_bad(stat))), counts);
}
