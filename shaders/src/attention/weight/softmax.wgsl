// Slot weight: P = exp(z - lse) and its gradient P·(dP - delta); a row's lse and delta were left in side.
const LOWEST: f32 = -LIMIT;

fn row_statistics(i: u32) -> vec2<f32> {
    let row = at.stat_row + min(i, at.len_q - 1u);
    return vec2(side_f32(params.lse_at + row), side_f32(params.delta_at + row));
}
fn weight_seen(z: f32, statistics: vec2<f32>) -> f32 { return exp(z - statistics.x); }
fn weight(z: f32, statistics: vec2<f32>) -> f32 {
    return select(weight_seen(z, statistics), 0.0, is_hidden(z));
}
fn weight_gradient(z: f32, p: f32, d_p: f32, statistics: vec2<f32>) -> f32 {
    return p * (d_p - statistics.y);
}
