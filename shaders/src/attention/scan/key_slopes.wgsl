// Slot scan: rows of k and v, where no product with an infinity has a bound.
fn first_word() -> u32 { return params.batch_rows; }
fn scan_row(j: u32) -> u32 {
    var flags = 0u;
    for (var d4 = 0u; d4 * 4u < params.head_dim; d4++) { flags |= flag_of(k4(k_row(j), 0u, d4)); }
    for (var d4 = 0u; d4 * 4u < params.val_dim; d4++) { flags |= flag_of(v4(v_row(j), 0u, d4)); }
    return flags;
}
