// Slot scan: rows of k and v in int8, which their scales alone can make NaN.
fn first_word() -> u32 { return params.batch_rows; }
fn is_broken(scale: u32) -> bool { return (scale & 0x7fffffffu) >= 0x7c000000u; } // 2^121: products may be infinite
fn scan_row(j: u32) -> u32 {
    // whose row it is, as it lies in memory: heads inside tokens, or tokens inside heads
    let tokens_first = (params.packed_rows == 1u) | (params.table_at != ABSENT);
    at.kv_head = select(j / max(params.seq_kv, 1u), j, tokens_first) % params.kv_heads;
    return select(0u, NOT_FINITE, is_broken(k_scale_bits(j)) | is_broken(v_scale_bits(j)));
}
