// Slot threshold: every weight fills its slot.
fn fills(w: f32) -> bool { return true; }
