// Slot mark: a marked row of o is NaN, and so are its moments. Slot: moments.
fn mark_row(i: u32) {
    let nan = bitcast<f32>(NAN_BITS | (params.stream_from >> 31u));
    for (var d4 = 0u; d4 * 4u < params.val_dim; d4++) {
        store_o(at.q_row + i * at.q_step, d4, vec4(nan), true);
        store_mean(at.q_row + i * at.q_step, d4, vec4(nan));
    }
    store_numbers(i, NAN_BITS, NAN_BITS);
}
fn holds_first_column() -> bool { return true; }
