// Slot temperature: an input, within the range of temperatures whatever it holds.
fn temperature() -> f32 { return clamp(bitcast<f32>(side[params.temperature_at]), 1e-9, 1e9); }
fn cooled(x: f32, t: f32) -> f32 { return clamp(x / t, -LIMIT, LIMIT); }
