// Slot rejected: NaN logits are the lowest.
fn reject(expert: u32) {}
