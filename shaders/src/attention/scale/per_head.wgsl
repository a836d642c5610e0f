// Slot scale: each key/value head has its own.
fn k_scale_bits(row: u32) -> u32 { return side[params.k_scale_at + at.kv_head]; }
fn v_scale_bits(row: u32) -> u32 { return side[params.v_scale_at + at.kv_head]; }
