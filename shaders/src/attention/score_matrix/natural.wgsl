// Slot score_matrix: scores as they are.
const LOG2_E: f32 = 1.4426950408889634;

fn score_begin() {}

// Score of a pair that is seen, from its product.
fn formed(i: u32, j: u32, product: f32) -> f32 { return score_seen(i, j, cap(product * params.scale), key_bias(j)); }

// A formed score times log2 e.
fn binary(z: vec4<f32>) -> vec4<f32> { return z * LOG2_E; }
