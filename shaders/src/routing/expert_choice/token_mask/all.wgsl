// Slot token_mask: every token counts.
fn token_counts(token: u32) -> bool { return true; }
