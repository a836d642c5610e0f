// Slot scan: rows of q, of r.
fn first_word() -> u32 { return 0u; }
fn scan_row(i: u32) -> u32 {
    var flags = 0u;
    for (var d4 = 0u; d4 * 4u < params.head_dim; d4++) { flags |= flags_of(q4(q_row(i), 0u, d4)); }
    for (var d4 = 0u; d4 * 4u < params.head_dim; d4++) { flags |= flag_of(r4(r_row(i), 0u, d4)); }
    return flags;
}
