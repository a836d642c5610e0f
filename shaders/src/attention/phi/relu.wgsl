// Slot phi: φ(z) = max(z, 0); φ'(z) = 1 above 0, else 0.
const LOWEST: f32 = -LIMIT;

fn phi4(z: vec4<f32>) -> vec4<f32> { return max(z, vec4(0.0)); }
fn phi_slope4(z: vec4<f32>) -> vec4<f32> { return select(vec4(0.0), vec4(1.0), z > vec4(0.0)); }
