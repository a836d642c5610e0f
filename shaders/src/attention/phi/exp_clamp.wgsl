// Slot phi: φ(z) = exp(min(z, c)), c = weight_number; φ'(z) = exp z up to c, 0 beyond.
const LOWEST: f32 = -LIMIT;

fn phi4(z: vec4<f32>) -> vec4<f32> { return exp(min(z, vec4(params.weight_number))); }
fn phi_slope4(z: vec4<f32>) -> vec4<f32> { return select(phi4(z), vec4(0.0), z > vec4(params.weight_number)); }
