// Slot normalizer: exp(log_norm_i), given with the inputs.
fn summand4(a: vec4<f32>, hidden: vec4<bool>) -> vec4<f32> { return vec4(0.0); }
fn row_share(sum: f32, i: u32) -> f32 {
    let word = params.log_norm_at + select(0u, at.stat_row + i, i < at.len_q);
    return exp(-clamp(side_f32(word), -80.0, 80.0));
}
