// Slot rows: rows of queries, or of outputs.
struct Row {
    start: u32,    // its first element
    stat: u32,     // its element among numbers per row
    i: u32,        // its position
    counts: bool,  // whether it is within its sequence
    owned: bool,   // whether there is such a row in memory
}

fn row_at(row: u32) -> Row {
    let head = row / params.seq_q;
    if head >= params.batch * params.q_heads { return Row(0u, 0u, 0u, false, false); }
    enter(head / params.q_heads, head % params.q_heads);
    return row_of(row % params.seq_q);
}

// That of query i of the sequence and head at hand.
fn row_of(i: u32) -> Row {
    let counts = i < at.len_q;
    let start = (at.q_row + i * at.q_step) * params.row_width + params.o_shift;
    return Row(start, at.stat_row + i + params.lse_shift, i, counts, counts | (params.packed_rows == 0u));
}
