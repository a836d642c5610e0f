// Slot len: all columns of every row count.
fn row_len(row: u32) -> u32 { return params.cols; }
