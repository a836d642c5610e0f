// Slot phi: φ(z) = z, which may be negative; φ'(z) = 1.
const LOWEST: f32 = -LIMIT;

fn phi4(z: vec4<f32>) -> vec4<f32> { return z; }
fn phi_slope4(z: vec4<f32>) -> vec4<f32> { return vec4(1.0); }
