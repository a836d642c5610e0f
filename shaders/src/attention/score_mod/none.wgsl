// Slot score_mod: scores are as they are.
fn modified(capped: f32, i: u32, j: u32) -> f32 { return capped; }
fn score_gradient(capped: f32, i: u32, j: u32) -> f32 { return cap_gradient(capped); }
