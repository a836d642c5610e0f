// Slot bias: none.
fn bias4(col: u32) -> vec4<f32> { return vec4(0.0); }
