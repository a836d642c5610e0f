// Slot d_scores: an input, as bits.
@group(0) @binding(6) var<storage, read> d_scores: array<u32>;
fn upstream_score(expert: u32) -> u32 { return d_scores[token * params.experts + expert]; }
