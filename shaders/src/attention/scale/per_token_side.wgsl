// Slot scale: each row of keys and of values has its own, inside side: where a score bias takes the last binding that there is.
fn k_scale_bits(row: u32) -> u32 { return side[params.k_scale_at + row]; }
fn v_scale_bits(row: u32) -> u32 { return side[params.v_scale_at + row]; }
