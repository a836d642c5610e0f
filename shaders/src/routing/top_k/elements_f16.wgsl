// Slot elements: f16, two a word: ranked by bits, so that no driver flushes them, and moved as they are. `x_halves` binds x again.
@group(0) @binding(4) var<storage, read> x: array<u32>;
@group(0) @binding(5) var<storage, read_write> values: array<f16>;
@group(0) @binding(7) var<storage, read> x_halves: array<f16>;

fn bits_at(element: u32) -> u32 { return (x[element / 2u] >> (16u * (element % 2u))) & 0xffffu; }
fn store_value(to: u32, element: u32) { values[to] = x_halves[element]; }
