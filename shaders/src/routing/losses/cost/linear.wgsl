// Slot cost: the load itself.
fn price(load: f32) -> f32 { return load; }
// Σ_{j ≤ n} j·unit, with load = n·unit
fn arrivals(n: f32, load: f32, unit: f32) -> f32 { return 0.5 * load * (n + 1.0); }
