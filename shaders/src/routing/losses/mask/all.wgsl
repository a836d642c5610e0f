// Slot mask: every token counts.
fn counts_in(token: u32) -> bool { return true; }
