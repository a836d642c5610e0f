// Slot logit_bias: the order of x = a + bias. Halves, so that nothing overflows.
fn biased(bits: u32, expert: u32) -> u32 {
    let bias = side[params.logit_bias_at + expert];
    let half = 0.5 * bitcast<f32>(bits) + 0.5 * bitcast<f32>(saturated(bias));
    return select(order_of(2.0 * clamp(half, -0.5 * LIMIT, 0.5 * LIMIT)), MASKED, masks(bias));
}
