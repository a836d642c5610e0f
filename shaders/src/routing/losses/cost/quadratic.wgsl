// Slot cost: the load's square.
fn price(load: f32) -> f32 { return load * load; }
// Σ_{j ≤ n} (j·unit)², with load = n·unit
fn arrivals(n: f32, load: f32, unit: f32) -> f32 { return load * ((n + 1.0) * unit) * ((2.0 * n + 1.0) / 6.0); }
