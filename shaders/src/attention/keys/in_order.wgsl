// Slot keys: the keys of a sequence follow each other at a fixed distance.
fn key_row(j: u32) -> u32 { return at.k_row + j * at.k_step; }
fn keys_in_order() -> u32 { return at.len_kv; }
