// Slot curve: x/2·(1 + tanh z) = x·σ(2z), z = √(2/π)·(x + 0.044715·x³), slope σ(2z) + x·σ'(2z)·2z'. Beyond ±12 the sigmoid is 0 or 1, and
// x³ would overflow.
const REACH: f32 = 12.0;
const TWICE: f32 = 1.5957691216;     // 2·√(2/π)
const CUBIC: f32 = 0.044715;

fn curve(x: vec4<f32>) -> Curve {
    let near = clamp(x, vec4(-REACH), vec4(REACH));
    let square = near * near;
    let s = sigmoid(TWICE * near * (1.0 + CUBIC * square));
    return Curve(x * s.value, s.value + x * (s.value * s.rest * (TWICE * (1.0 + 3.0 * CUBIC * square))));
}
