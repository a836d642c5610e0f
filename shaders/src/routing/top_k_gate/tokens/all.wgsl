// Slot tokens: every one counts.
fn token_counts(t: u32) -> bool { return true; }
