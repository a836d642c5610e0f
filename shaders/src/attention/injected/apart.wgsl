// Slot place: the output before the injection is kept.
@group(0) @binding(2) var<storage, read> x: array<Elem>;
fn before(e: u32) -> f32 { return f32(x[e]); }
