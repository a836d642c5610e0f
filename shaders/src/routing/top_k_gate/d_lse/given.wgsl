// Slot d_lse: an input, as bits; d_lse·softmax(z).
@group(0) @binding(7) var<storage, read> d_lse: array<u32>;
fn upstream_lse() -> u32 { return d_lse[token]; }
fn lse_gradient(upstream: u32, order: u32, stat: Stat) -> f32 { return bitcast<f32>(upstream) * share_of(order, stat); }
