// Slot activation: σ(l).
fn activated(bits: u32) -> u32 { return bitcast<u32>(sigmoid(bitcast<f32>(bits))); }
fn activation_slope(l: f32) -> f32 {
    let y = sigmoid(l);
    return y * (1.0 - y);
}
