// Slot numbers: 1/n_i, and c_i, what d_o_i·v_j is lessened by, as bits. Slots: saved, normalizer, correction.
fn row_numbers(i: u32, row: u32, in_sequence: bool) -> vec2<u32> {
    var share = 0.0;
    var correction = 0.0;
    var delta = 0u;
    if in_sequence {
        let sum = saved_sum(row);
        share = row_share(sum, i);
        delta = delta_bits(i);
        correction = row_correction(sum, bitcast<f32>(delta));
    }
    store_gradient(row, delta);
    return bitcast<vec2<u32>>(vec2(share, correction));
}
