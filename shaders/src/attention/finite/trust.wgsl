// Slot finite: the caller vouches for finite inputs.
fn any_not_finite() -> bool { return false; }
fn finite4(x: vec4<f32>) -> vec4<f32> { return x; }
