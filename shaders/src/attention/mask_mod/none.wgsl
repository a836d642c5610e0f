// Slot mask_mod: what a query sees is a range of keys.
fn hides_pairs() -> bool { return false; }
fn hides_pair(i: u32, j: u32) -> bool { return false; }
