// Slot injected: every row of each sequence.
fn is_injected(row: Row) -> bool { return row.counts; }
