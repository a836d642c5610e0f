// Slot correction: the row's sum counts where its magnitude is above 1.
fn row_correction(sum: f32, delta: f32) -> f32 { return select(0.0, delta * sign(sum), abs(sum) > 1.0); }
fn store_gradient(row: u32, delta: u32) {}
