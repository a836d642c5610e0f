// Slot feature: none.
fn mapped(gain: f32, n: f32) -> f32 { return scaled(gain, n); }
fn d_mapped(gain: f32, n: f32, g: f32) -> f32 { return g; }
