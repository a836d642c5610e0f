// Slot gradient: of a factor per element.
@group(0) @binding(7) var<storage, read_write> d_element_factor: array<Elem>;
fn store_element(row: Row, d: u32, value: f32) { d_element_factor[row.start + d] = Elem(value); }
fn store_row(row: Row, value: f32) {}
