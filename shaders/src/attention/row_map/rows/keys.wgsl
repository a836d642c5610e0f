// Slot rows: rows of keys, or of values.
struct Row {
    start: u32,    // its first element
    stat: u32,     // its element among numbers per row
    i: u32,        // its position
    counts: bool,  // whether it is within its sequence
    owned: bool,   // whether there is such a row in memory
}

fn row_at(row: u32) -> Row {
    let i = row % params.seq_kv;
    let head = row / params.seq_kv;
    if head >= params.batch * params.kv_heads { return Row(0u, 0u, 0u, false, false); }
    enter(head / params.kv_heads, head % params.kv_heads * (params.q_heads / params.kv_heads));
    let counts = i < at.len_kv;
    let start = (at.k_row + i * at.k_step) * params.row_width + params.o_shift;
    let packed = at.kv_head * params.total_kv + at.key_stat;
    let stat = select(at.k_row, packed, params.packed_rows == 1u) + i + params.lse_shift;
    return Row(start, stat, i, counts, counts | (params.packed_rows == 0u));
}
