// Slot order: the factor comes before the norm.
fn first(f: f32) -> f32 { return f; }
fn last(f: f32) -> f32 { return 1.0; }
fn by_factor(before: f32, after: f32) -> f32 { return before; }
