// Slot len: each row has its own length.
@group(0) @binding(5) var<storage, read> lens: array<u32>;   // [rows]

fn row_len(row: u32) -> u32 { return lens[row + params.narrow_shift]; }
