// Slot reduction: d_o·o of a batch entry and head, summed over its rows, which row_numbers has left.
fn row_term(head: u32, n: u32) -> f32 {
    enter(head / params.q_heads, head % params.q_heads);
    let there = n < at.len_q;
    return select(0.0, side_f32(select(0u, params.delta_at + at.stat_row + n, there)), there);
}
fn store_total(head: u32, total: f32, add: bool) {
    let word = params.heads_at + head * 2u + 1u;
    side[word] = bitcast<u32>(select(total, side_f32(word) + total, add));
}
