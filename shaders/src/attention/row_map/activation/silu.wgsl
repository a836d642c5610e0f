// Slot activation: x / (1 + exp(-x)), and its derivative.
fn activate(x: f32) -> vec2<f32> {
    let e = exp(-abs(x));
    let large = 1.0 / (1.0 + e);     // of |x|
    let small = e / (1.0 + e);
    let value = select(large, small, x < 0.0);
    let rest = select(small, large, x < 0.0);
    return vec2(x * value, value * (1.0 + x * rest));
}
