// Slot gradient: the factor has none.
fn store_element(row: Row, d: u32, value: f32) {}
fn store_row(row: Row, value: f32) {}
