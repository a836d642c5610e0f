// Slot phi: φ(z) = Σ_{n ≤ DEGREE} zⁿ/n! = 1 + z(1 + z/2·(1 + z/3·(…))), DEGREE even and so positive; φ' is the series to DEGREE - 1.
const LOWEST: f32 = -LIMIT;

fn phi4(z: vec4<f32>) -> vec4<f32> {
    var sum = vec4(1.0);
    for (var n = 0u; n < DEGREE; n++) { // unroll
        sum = 1.0 + sum * z * (1.0 / f32(DEGREE - n));
    }
    return sum;
}
fn phi_slope4(z: vec4<f32>) -> vec4<f32> {
    var sum = vec4(1.0);
    for (var n = 0u; n < DEGREE; n++) { // unroll
        sum = select(1.0 + sum * z * (1.0 / f32(DEGREE - n)), sum, n == 0u);   // one term fewer
    }
    return sum;
}
