// Slot scores: not an output.
fn store_score(expert: u32, p: f32) {}
