// Slot dropout: every pair counts as it is.
fn dropout_row(i: u32) -> vec2<u32> { return vec2(0u); }
fn dropped(x: f32, row: vec2<u32>, j: u32) -> f32 { return x; }
fn drop_weights(scores: ptr<function, Scores>) {}
