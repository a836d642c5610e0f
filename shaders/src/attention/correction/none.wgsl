// Slot correction: the normaliser is a constant for the gradient.
fn delta_bits(i: u32) -> u32 { return 0u; }
fn row_correction(sum: f32, delta: f32) -> f32 { return 0.0; }
fn store_gradient(row: u32, delta: u32) {}
