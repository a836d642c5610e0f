// Slot lse: not asked for.
fn store_lse(i: u32, bits: u32) {}
