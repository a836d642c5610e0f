// Slot selection: experts are ranked by c = p + bias; a bias that is not finite excludes its expert.
fn rank(order: u32, p: f32, expert: u32) -> u32 {
    let bias = side[params.selection_bias_at + expert];
    let excluded = (order == MASKED) | is_not_finite(bias);
    let half = 0.5 * p + 0.5 * bitcast<f32>(saturated(bias));
    return select(order_of(2.0 * clamp(half, -0.5 * LIMIT, 0.5 * LIMIT)), MASKED, excluded);
}
