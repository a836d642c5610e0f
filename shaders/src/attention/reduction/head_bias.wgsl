// Slot reduction: d_head_bias[h] = Σ dz over the head's rows.
@group(0) @binding(14) var<storage, read_write> d_head_bias: array<f32>;
fn row_term(head: u32, n: u32) -> f32 { return side_f32(params.row_sums_at + head_row(head, n) * 2u); }
fn store_total(head: u32, total: f32, add: bool) {
    d_head_bias[head] = select(total, d_head_bias[head] + total, add);
}
