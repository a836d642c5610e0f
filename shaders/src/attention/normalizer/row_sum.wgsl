// Slot normalizer: the sum of the row's weights. Sums of which a reciprocal may be infinite count as 0, which gives 0.
const LEAST_SUM: f32 = 1.1754944e-38; // 2^-126

fn summand4(a: vec4<f32>, hidden: vec4<bool>) -> vec4<f32> { return a; }
fn row_share(sum: f32, i: u32) -> f32 {
    let there = abs(sum) >= LEAST_SUM;
    return select(0.0, 1.0 / select(1.0, sum, there), there);
}
