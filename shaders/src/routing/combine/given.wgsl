// Slot weight: of a slot, given.
@group(0) @binding(5) var<storage, read> weights: array<f32>;   // [tokens, top_k]

fn weight_of(slot: u32) -> f32 { return weights[slot]; }
