// Slot function: d_x = scale·y·(d_y − Σ y·d_y).
fn term(y4: vec4<f32>, d_y4: vec4<f32>) -> vec4<f32> { return y4 * d_y4; }

fn slope(y4: vec4<f32>, d_y4: vec4<f32>, sum: f32) -> vec4<f32> { return params.scale * (y4 * (d_y4 - vec4(sum))); }
