// Slot injected: the last row of each sequence.
fn is_injected(row: Row) -> bool { return row.counts & (row.i + 1u == at.len_q); }
