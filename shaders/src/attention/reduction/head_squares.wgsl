// Slot reduction: the squares of all weights of a batch entry and head, summed over its rows.
@group(0) @binding(8) var<storage, read> row_sum: array<f32>;
fn row_term(head: u32, n: u32) -> f32 {
    enter(head / params.q_heads, head % params.q_heads);
    let there = n < at.len_q;
    return select(0.0, row_sum[select(0u, at.stat_row + n, there)], there);
}
fn store_total(head: u32, total: f32, add: bool) {
    let word = params.heads_at + head * 2u;
    side[word] = bitcast<u32>(select(total, side_f32(word) + total, add));
}
