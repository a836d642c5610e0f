// Slot scores: kept, as bits.
@group(0) @binding(5) var<storage, read_write> scores: array<u32>;

fn store_score(at: u32, bits: u32) { scores[at] = bits; }
