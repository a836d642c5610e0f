// Slot curve: c·σ(alpha·c), c = min(x, limit), of slope 0 above the limit. Beyond ±1e15 the sigmoid is 0 or 1, and alpha·c might overflow.
const REACH: f32 = 1e15;

fn curve(x: vec4<f32>) -> Curve {
    let c = min(x, vec4(params.limit));
    let s = sigmoid(params.alpha * max(c, vec4(-REACH)));
    let slope = s.value + c * (s.value * s.rest * params.alpha);
    return Curve(c * s.value, select(vec4(0.0), slope, x <= vec4(params.limit)));
}
