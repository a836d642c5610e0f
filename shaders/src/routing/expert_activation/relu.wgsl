// Slot curve: max(x, 0), of slope 0 at 0.
fn curve(x: vec4<f32>) -> Curve { return Curve(max(x, vec4(0.0)), select(vec4(0.0), vec4(1.0), x > vec4(0.0))); }
