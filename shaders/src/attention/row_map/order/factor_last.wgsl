// Slot order: the factor comes after the norm.
fn first(f: f32) -> f32 { return 1.0; }
fn last(f: f32) -> f32 { return f; }
fn by_factor(before: f32, after: f32) -> f32 { return after; }
