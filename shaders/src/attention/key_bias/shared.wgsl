// Slot given: a key bias that all heads share.
@group(0) @binding(3) var<storage, read> bias_rows: array<u32>;
fn given_bits(row: Row) -> u32 { return bias_rows[at.key_stat + row.i]; }
