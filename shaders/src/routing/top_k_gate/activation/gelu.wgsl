// Slot activation: l·σ(2√(2/π)·(l + 0.044715·l³)). Beyond ±50 the sigmoid is 0 or 1.
const SLOPE: f32 = 1.5957691;
const CUBE: f32 = 0.044715;

fn gate_of(l: f32) -> f32 {
    let x = clamp(l, -50.0, 50.0);
    return sigmoid(SLOPE * (x + CUBE * (x * x * x)));
}
fn activated(bits: u32) -> u32 {
    let l = bitcast<f32>(bits);
    return bitcast<u32>(l * gate_of(l));
}
fn activation_slope(l: f32) -> f32 {
    let x = clamp(l, -50.0, 50.0);
    let s = gate_of(l);
    return s + x * (s * (1.0 - s)) * (SLOPE * (1.0 + 3.0 * CUBE * (x * x)));
}
