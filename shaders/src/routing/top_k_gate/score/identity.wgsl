// Slot score: p = z.
fn score(order: u32, stat: Stat) -> f32 { return cooled(value_of(order), temperature()); }
fn level_of(own: f32) -> f32 { return 0.0; }
fn score_gradient(x: f32, p: f32, d_p: f32, level: f32) -> f32 { return d_p; }
