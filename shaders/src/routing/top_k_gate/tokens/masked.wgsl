// Slot tokens: those with a mask of 0 are padding.
fn token_counts(t: u32) -> bool { return side[params.token_mask_at + t] != 0u; }
