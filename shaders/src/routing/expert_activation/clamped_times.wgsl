// Slot factor: 1 + up, up cut off at ±limit; of slope 1 in (-limit, limit].
fn factor(up: vec4<f32>) -> Curve {
    let limit = vec4(params.limit);
    return Curve(clamp(up, -limit, limit) + 1.0, select(vec4(0.0), vec4(1.0), (up > -limit) & (up <= limit)));
}
