// Slot threshold: weights below it leave their slot empty.
fn fills(w: f32) -> bool { return w >= params.threshold; }
