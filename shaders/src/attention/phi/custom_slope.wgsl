// Slot phi: the user's own φ'.
fn phi_slope4(z: vec4<f32>) -> vec4<f32> { return vec4(phi_slope(z.x), phi_slope(z.y), phi_slope(z.z), phi_slope(z.w)); }
