// Slot scores: an output.
@group(0) @binding(5) var<storage, read_write> scores: array<f32>;
fn store_score(expert: u32, p: f32) { scores[token * params.experts + expert] = p; }
