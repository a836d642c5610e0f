// Slot activation: tanh, and its derivative.
fn activate(x: f32) -> vec2<f32> {
    let y = tanh_of(x);
    return vec2(y, (1.0 - y) * (1.0 + y));
}
