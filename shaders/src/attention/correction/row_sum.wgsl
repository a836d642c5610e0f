// Slot correction: every weight is in the row's sum.
fn row_correction(sum: f32, delta: f32) -> f32 { return delta; }
fn store_gradient(row: u32, delta: u32) {}
