// Slot factor: a number per row. Slots: activation.
@group(0) @binding(5) var<storage, read> row_factor: array<f32>;
var<private> own: vec2<f32>;   // the factor, and its derivative by what is given

fn enter_factor(row: Row) { own = activate(row_factor[row.stat]); }
fn enter_slope() -> f32 { return own.y; }
fn factor(row: Row, d: u32) -> vec2<f32> { return own; }
