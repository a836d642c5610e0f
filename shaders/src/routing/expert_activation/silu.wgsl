// Slot curve: x·σ(x), slope σ(x)·(1 + x·(1 - σ(x))).
fn curve(x: vec4<f32>) -> Curve {
    let s = sigmoid(x);
    return Curve(x * s.value, s.value * (1.0 + x * s.rest));
}
