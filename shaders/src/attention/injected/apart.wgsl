// Slot place: the output before the injection is kept, and every row of the output is written.
@group(0) @binding(2) var<storage, read> x: array<Elem>;
fn before(e: u32) -> f32 { return f32(x[e]); }
fn row_taken(n: u32) -> Row { return row_at(n); }
