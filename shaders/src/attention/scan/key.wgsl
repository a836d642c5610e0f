// Slot scan: rows of k and v.
fn first_word() -> u32 { return params.batch_rows; }
fn scan_row(j: u32) -> u32 {
    var flags = 0u;
    for (var d4 = 0u; d4 * 4u < params.head_dim; d4++) { flags |= flags_of(load_k(j, d4)); }
    for (var d4 = 0u; d4 * 4u < params.val_dim; d4++) { flags |= flag_of(load_v(j, d4)); }
    return flags;
}
