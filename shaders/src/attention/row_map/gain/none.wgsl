// Slot gain: 1.
fn gain(d: u32) -> f32 { return 1.0; }
fn store_gain_term(row: Row, d: u32, term: f32) {}
