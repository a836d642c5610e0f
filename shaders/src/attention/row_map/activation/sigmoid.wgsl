// Slot activation: 1 / (1 + exp(-x)), and its derivative. No exponential overflows.
fn activate(x: f32) -> vec2<f32> {
    let e = exp(-abs(x));
    let large = 1.0 / (1.0 + e);     // of |x|
    let small = e / (1.0 + e);
    return vec2(select(large, small, x < 0.0), large * small);
}
