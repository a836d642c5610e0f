// Slot gain: a number per dim.
@group(0) @binding(6) var<storage, read> dim_gain: array<f32>;
fn gain(d: u32) -> f32 { return dim_gain[d]; }
