// Slot weight: P = σ(z) and its gradient P·(1 - P)·dP. No row statistics, no delta.
const LOWEST: f32 = -88.7;       // exp(-z) does not overflow from here on

fn row_statistics(i: u32) -> vec2<f32> { return vec2(0.0); }
fn weight_seen(z: f32, statistics: vec2<f32>) -> f32 { return 1.0 / (1.0 + exp(-z)); }
fn weight(z: f32, statistics: vec2<f32>) -> f32 {
    return select(weight_seen(max(z, LOWEST), statistics), 0.0, is_hidden(z));
}
fn weight_gradient(z: f32, p: f32, d_p: f32, statistics: vec2<f32>) -> f32 {
    return p * (1.0 - p) * d_p;
}
