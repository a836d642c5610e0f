// Slot: floats as u32 in the same order, by their bits: no float is computed, so what is too small to be normal keeps its place. NaN is below all.
const SELECTION_WORDS: u32 = 3u;    // of a segment: threshold, how many of the keys at it are selected, candidates

fn key_of(bits: u32) -> u32 {
    let is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
    let unsigned = select(bits, 0u, bits == 0x80000000u);       // -0 is +0
    let ordered = select(unsigned | 0x80000000u, ~unsigned, (unsigned >> 31u) == 1u);
    return select(ordered, 0u, is_nan);
}
