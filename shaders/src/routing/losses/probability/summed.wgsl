// Slot probability: Σ_t p_te.
@group(0) @binding(3) var<storage, read> sums: array<f32>;

fn probability_of(e: u32) -> f32 { return sums[e]; }
