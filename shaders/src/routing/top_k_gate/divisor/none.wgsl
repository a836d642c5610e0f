// Slot divisor: weights as they are.
fn slot_factor(sum: f32) -> f32 { return params.scale; }
fn slot_mean(sum: f32, dot: f32) -> f32 { return 0.0; }
