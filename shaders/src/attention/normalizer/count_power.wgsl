// Slot normalizer: a power of how many keys the row sees.
fn summand4(a: vec4<f32>, hidden: vec4<bool>) -> vec4<f32> { return select(vec4(1.0), vec4(0.0), hidden); }
fn row_share(sum: f32, i: u32) -> f32 {
    return select(0.0, exp(-params.count_power * ln_count(u32(max(sum, 1.0)))), sum > 0.0);
}
