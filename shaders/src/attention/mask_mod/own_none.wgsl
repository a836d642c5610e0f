// Beside built-in masks of slot mask_mod: no mask of the user's own.
fn own_hides_pairs() -> bool { return false; }
fn own_hides_pair(i: u32, j: u32) -> bool { return false; }
