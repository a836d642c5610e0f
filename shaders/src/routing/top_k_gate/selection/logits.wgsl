// Slot selection: experts are ranked by x.
fn rank(order: u32, p: f32, expert: u32) -> u32 { return order; }
