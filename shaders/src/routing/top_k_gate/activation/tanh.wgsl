// Slot activation: tanh l.
fn activated(bits: u32) -> u32 { return bitcast<u32>(tanh_of(bitcast<f32>(bits))); }
fn activation_slope(l: f32) -> f32 {
    let y = tanh_of(l);
    return (1.0 - y) * (1.0 + y);
}
