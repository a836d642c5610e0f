// Slot place: the output before the injection is written over.
fn before(e: u32) -> f32 { return f32(y[e]); }
