// Slot rows: the last query of each sequence and head; one that has none owns no row.
struct Row {
    start: u32,    // its first element
    stat: u32,     // its element among numbers per row
    i: u32,        // its position
    counts: bool,  // whether it is within its sequence
    owned: bool,   // whether there is such a row in memory
}

fn row_at(unit: u32) -> Row {
    if unit >= params.batch * params.q_heads { return Row(0u, 0u, 0u, false, false); }
    enter(unit / params.q_heads, unit % params.q_heads);
    let there = at.len_q > 0u;
    let i = max(at.len_q, 1u) - 1u;
    let start = (at.q_row + i * at.q_step) * params.row_width + params.o_shift;
    return Row(start, at.stat_row + i + params.lse_shift, i, there, there);
}
