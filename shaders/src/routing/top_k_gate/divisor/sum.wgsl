// Slot divisor: weights over their sum + ε; 0 where that is 0. Σ ŵ·G is what a gradient is lessened by.
fn slot_factor(sum: f32) -> f32 {
    let divisor = sum + params.epsilon;
    return select(params.scale / select(1.0, divisor, divisor != 0.0), 0.0, divisor == 0.0);
}
fn slot_mean(sum: f32, dot: f32) -> f32 {
    let divisor = sum + params.epsilon;
    return select(dot / select(1.0, divisor, divisor != 0.0), 0.0, divisor == 0.0);
}
