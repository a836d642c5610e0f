// Slot reduction: d_bias = Σ dz over all rows of all heads.
@group(0) @binding(14) var<storage, read_write> d_bias: array<f32>;
fn row_term(whole: u32, n: u32) -> f32 { return side_f32(params.row_sums_at + n * 2u); }
fn store_total(whole: u32, total: f32, add: bool) {
    d_bias[whole] = select(total, d_bias[whole] + total, add);
}
