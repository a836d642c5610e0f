// Slot bias: a penalty on queries, which query_penalty.wgsl has left, beside key bias and ALiBi, either of which may be absent.
fn bias_hides() -> bool { return params.key_bias_at != ABSENT; }
fn key_bias(j: u32) -> f32 { return given_key_bias(j); }
fn biased(z: f32, i: u32, j: u32, of_key: f32) -> f32 {
    // rows of several heads may be at hand, so that stat_row is not that of the head
    let row = select((at.batch * params.q_heads + at.q_head) * params.seq_q, at.stat_row, params.packed_rows == 1u);
    let penalty = side_f32(params.query_penalty_at + row + min(i, max(at.len_q, 1u) - 1u));
    let shifted = z - at.slope * distance(i, j) + of_key - penalty;
    return select(clamp(shifted, LOWEST, LIMIT), HIDDEN, is_hidden(of_key));
}
