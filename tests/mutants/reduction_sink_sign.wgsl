// mutant: the sink has the wrong sign
// of: attention/reduction/sink.wgsl
// Slot reduction: d_sink[h] = -Σ_i exp(sink_h - lse_i)·delta_i over the head's rows (padded rows have delta 0).
@group(0) @binding(14) var<storage, read_write> d_sink: array<f32>;
fn row_term(head: u32, n: u32) -> f32 {
    let row = head_row(head, n);
    let delta = side_f32(params.delta_at + row);
    let share = exp(min(side_f32(params.sink_at + head) - side_f32(params.lse_at + row), 0.5));
    return select(share * delta, 0.0, delta == 0.0);
}
fn store_total(head: u32, total: f32, add: bool) {
    d_sink[head] = select(total, d_sink[head] + total, add);
}
