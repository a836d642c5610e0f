// Slot phi: φ(z) = z + 1 from 0 on, 1/(1 - z) below; φ'(z) = 1 and 1/(1 - z)².
const LOWEST: f32 = -LIMIT;

fn below(z: vec4<f32>) -> vec4<f32> { return 1.0 / (1.0 - min(z, vec4(0.0))); }
fn phi4(z: vec4<f32>) -> vec4<f32> { return below(z) + max(z, vec4(0.0)); }
fn phi_slope4(z: vec4<f32>) -> vec4<f32> { return below(z) * below(z); }
