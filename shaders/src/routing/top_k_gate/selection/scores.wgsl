// Slot selection: experts are ranked by p.
fn rank(order: u32, p: f32, expert: u32) -> u32 { return select(order_of(p), MASKED, order == MASKED); }
