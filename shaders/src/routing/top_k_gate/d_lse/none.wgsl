// Slot d_lse: no such upstream gradient.
fn upstream_lse() -> u32 { return 0u; }
fn lse_gradient(upstream: u32, order: u32, stat: Stat) -> f32 { return 0.0; }
