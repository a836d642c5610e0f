// Slot phi: φ(z) = elu(z) + 1 = exp(min(z, 0)) + max(z, 0); φ'(z) = exp(min(z, 0)).
const LOWEST: f32 = -LIMIT;

fn phi4(z: vec4<f32>) -> vec4<f32> { return exp(min(z, vec4(0.0))) + max(z, vec4(0.0)); }
fn phi_slope4(z: vec4<f32>) -> vec4<f32> { return exp(min(z, vec4(0.0))); }
