// Slot phi: φ(z) = ln(1 + exp z) = max(z, 0) + ln(1 + t), t = exp(-|z|); φ'(z) = σ(z).
// WGSL's logarithm is not good enough near 1: ln(1 + t) = 2·atanh(x), x = t/(2 + t) ≤ 1/3, a series of positive terms that fall by 9, so
// that very small weights are as accurate as large ones.
const LOWEST: f32 = -LIMIT;

fn phi4(z: vec4<f32>) -> vec4<f32> {
    let t = exp(-abs(z));
    let x = t / (2.0 + t);
    let y = x * x;
    let series = 1.0 + y * (0.33333334 + y * (0.2 + y * (0.14285715 + y * (0.11111111 + y * (0.09090909 + y * 0.07692308)))));
    return max(z, vec4(0.0)) + 2.0 * x * series;
}
fn phi_slope4(z: vec4<f32>) -> vec4<f32> {
    let t = exp(-abs(z));
    return select(t, vec4(1.0), z >= vec4(0.0)) / (1.0 + t);
}
