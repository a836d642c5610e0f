// Slot score_matrix for a weight that is made of exp(-z) alone, without a cap and a bias that depends on the position: scores are formed times
// log2 e, a factor that scale and bias take once for all, so that an exp is an exp2 and no multiplication.
const LOG2_E: f32 = 1.4426950408889634;

var<private> binary_scale: f32;
var<private> binary_bias: f32;

fn score_begin() {
    binary_scale = clamp(params.scale * LOG2_E, -LIMIT, LIMIT);
    binary_bias = clamp(at.bias * LOG2_E, -LIMIT, LIMIT);
}

// Score of a pair that is seen, from its product.
fn formed(i: u32, j: u32, product: f32) -> f32 { return clamp(fma(product, binary_scale, binary_bias), LOWEST, LIMIT); }

// A formed score times log2 e.
fn binary(z: vec4<f32>) -> vec4<f32> { return z; }
