// Slot reduction: d_rho[h] = Σ d_o·o / rho_h over the batch entries. Row n is a batch entry.
@group(0) @binding(14) var<storage, read_write> d_rho: array<f32>;
fn row_term(head: u32, n: u32) -> f32 { return side_f32(params.heads_at + (n * params.q_heads + head) * 2u + 1u); }
fn store_total(head: u32, total: f32, add: bool) {
    let share = total / side_f32(params.rho_at + head);
    d_rho[head] = select(share, d_rho[head] + share, add);
}
