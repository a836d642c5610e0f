// Slot phi: φ(z) = σ(z) = 1/(1 + exp(-z)), for rows that have a normaliser; φ'(z) = σ(z)·(1 - σ(z)).
const LOWEST: f32 = -88.7;       // exp(-z) does not overflow from here on

fn phi4(z: vec4<f32>) -> vec4<f32> { return 1.0 / (1.0 + exp(-z)); }
fn phi_slope4(z: vec4<f32>) -> vec4<f32> {
    let p = phi4(z);
    return p * (1.0 - p);
}
