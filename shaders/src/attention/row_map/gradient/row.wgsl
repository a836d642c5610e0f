// Slot gradient: of a factor per row.
@group(0) @binding(7) var<storage, read_write> d_row_factor: array<f32>;
fn store_element(row: Row, d: u32, value: f32) {}
fn store_row(row: Row, value: f32) { d_row_factor[row.stat] = value; }
