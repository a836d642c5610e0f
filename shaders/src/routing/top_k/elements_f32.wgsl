// Slot elements: f32, moved as bits, so that no driver flushes or quiets them.
@group(0) @binding(4) var<storage, read> x: array<u32>;
@group(0) @binding(5) var<storage, read_write> values: array<u32>;

fn bits_at(element: u32) -> u32 { return x[element]; }
fn store_value(to: u32, element: u32) { values[to] = x[element]; }
