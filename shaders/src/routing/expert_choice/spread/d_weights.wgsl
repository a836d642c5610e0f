// Slot word: the gradient of the slot's weight, as bits.
@group(0) @binding(3) var<storage, read> d_weights: array<u32>;

fn word_of(place: u32) -> u32 { return d_weights[place]; }
