// Slot number: tokens that count, behind the counts of the experts.
@group(0) @binding(5) var<storage, read> counts: array<u32>;

fn valid_tokens() -> f32 { return f32(counts[params.experts]); }
