// Slot weight: P = φ(z)/n of a function φ of the score (slot phi) and its gradient φ'(z)·(dP - c)/n; a row's 1/n and c were left in side. Rows
// without a normaliser have left nothing: n = 1, c = 0.
fn row_statistics(i: u32) -> vec2<f32> {
    let there = params.lse_at != ABSENT;
    let row = at.stat_row + min(i, at.len_q - 1u);
    let share = side_f32(select(nowhere(), params.lse_at + row, there));
    let correction = side_f32(select(nowhere(), params.delta_at + row, there));
    return select(vec2(1.0, 0.0), vec2(share, correction), there);
}
fn weight_seen(z: f32, statistics: vec2<f32>) -> f32 { return phi4(vec4(z)).x * statistics.x; }
fn weight(z: f32, statistics: vec2<f32>) -> f32 {
    return select(weight_seen(select(z, 0.0, is_hidden(z)), statistics), 0.0, is_hidden(z));
}
fn weight_gradient(z: f32, p: f32, d_p: f32, statistics: vec2<f32>) -> f32 {
    return phi_slope4(vec4(select(z, 0.0, is_hidden(z)))).x * (d_p - statistics.y) * statistics.x;
}
