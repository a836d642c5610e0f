// mutant: the slope takes the sum of dS, not of distance times dS
// of: attention/reduction/alibi.wgsl
// Slot reduction: d_alibi_slopes[h] = -Σ |i + off - j|·dz over the head's rows.
@group(0) @binding(14) var<storage, read_write> d_alibi_slopes: array<f32>;
fn row_term(head: u32, n: u32) -> f32 { return -side_f32(params.row_sums_at + head_row(head, n) * 2u); }
fn store_total(head: u32, total: f32, add: bool) {
    d_alibi_slopes[head] = select(total, d_alibi_slopes[head] + total, add);
}
