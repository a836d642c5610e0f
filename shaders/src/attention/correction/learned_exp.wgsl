// Slot correction: the normaliser is an input with a gradient of its own, d_log_norm_i = -delta_i. Bits, because the row may be NaN.
@group(0) @binding(13) var<storage, read_write> d_log_norm: array<u32>;
fn row_correction(sum: f32, delta: f32) -> f32 { return 0.0; }
fn store_gradient(row: u32, delta: u32) {
    d_log_norm[row] = select(delta ^ 0x80000000u, delta, (delta == 0u) | is_not_finite(delta));
}
