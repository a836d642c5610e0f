// mutant: the derivative of sigma lacks its second factor
// of: attention/weight/sigmoid.wgsl
// Slot weight: P = σ(z) and its gradient P·(1 - P)·dP. No row statistics, no delta.
fn row_statistics(i: u32) -> vec2<f32> { return vec2(0.0); }
fn weight(z: f32, statistics: vec2<f32>) -> f32 {
    let e = exp(-abs(z));
    let r = 1.0 / (1.0 + e);
    return select(select(e * r, r, z >= 0.0), 0.0, is_hidden(z));
}
fn weight_gradient(p: f32, d_p: f32, statistics: vec2<f32>) -> f32 {
    return p * d_p;
}
