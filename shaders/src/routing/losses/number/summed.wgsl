// Slot number: tokens that count, beside the sum of the losses.
@group(0) @binding(5) var<storage, read> sums: array<f32>;

fn valid_tokens() -> f32 { return sums[1]; }
