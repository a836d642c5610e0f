// Slot normalizer: none.
fn summand4(a: vec4<f32>, hidden: vec4<bool>) -> vec4<f32> { return vec4(0.0); }
fn row_share(sum: f32, i: u32) -> f32 { return 1.0; }
