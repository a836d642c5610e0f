// Slot temperature: 1.
fn temperature() -> f32 { return 1.0; }
fn cooled(x: f32, t: f32) -> f32 { return x; }
