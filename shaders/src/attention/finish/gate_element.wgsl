// Slot gate: a number per element.
@group(0) @binding(20) var<storage, read> gate: array<Elem>;
fn gate_of(row: u32, d: u32) -> f32 { return f32(gate[row * params.val_dim + d]); }
