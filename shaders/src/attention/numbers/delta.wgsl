// Slot numbers: delta_i = Σ_d d_o[i, d]·o[i, d], as bits; nothing else. Slot: output_delta.
fn row_numbers(i: u32, row: u32, in_sequence: bool) -> vec2<u32> {
    if !in_sequence { return vec2(0u); }
    return vec2(0u, delta_bits(i));
}
