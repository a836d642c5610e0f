// Slot factor: 1.
fn enter_factor(row: Row) {}
fn enter_slope() -> f32 { return 0.0; }
fn factor(row: Row, d: u32) -> vec2<f32> { return vec2(1.0, 0.0); }
