// Slot given: a key bias of each key/value head.
@group(0) @binding(3) var<storage, read> bias_rows: array<u32>;
fn given_bits(row: Row) -> u32 { return bias_rows[row.stat]; }
