// Slot weight: P = φ(z)·share of a function φ of the score (slot phi), of which all weights of a head have the norm, and its gradient
// φ'(z)·(share·dP - φ(z)·c); share and c were left in side.
fn row_statistics(i: u32) -> vec2<f32> {
    let row = at.stat_row + min(i, at.len_q - 1u);
    return vec2(side_f32(params.lse_at + row), side_f32(params.delta_at + row));
}
fn weight_seen(z: f32, statistics: vec2<f32>) -> f32 { return phi4(vec4(z)).x * statistics.x; }
fn weight(z: f32, statistics: vec2<f32>) -> f32 {
    return select(weight_seen(select(z, 0.0, is_hidden(z)), statistics), 0.0, is_hidden(z));
}
fn weight_gradient(z: f32, p: f32, d_p: f32, statistics: vec2<f32>) -> f32 {
    let safe = vec4(select(z, 0.0, is_hidden(z)));
    return phi_slope4(safe).x * (d_p * statistics.x - phi4(safe).x * statistics.y);
}
