// Slot mark: a marked row of d_q and d_r is NaN, and so are its sums for the gradients of biases; its flag tells the marking of keys.
fn mark_row(i: u32) {
    let nan = bitcast<f32>(NAN_BITS | (params.stream_from >> 31u));
    for (var d4 = 0u; d4 * 4u < params.head_dim; d4++) {
        store_d_q(at.q_row + i * at.q_step, d4, vec4(nan));
        store_d_r(at.q_row + i * at.q_step, d4, vec4(nan));
    }
    if params.row_sums_at != ABSENT {
        let word = params.row_sums_at + (at.stat_row + i) * 2u;
        side[word] = NAN_BITS;
        side[word + 1u] = NAN_BITS;
    }
    side[params.flags_at + at.q_row + i * at.q_step] |= NOT_FINITE;
}
