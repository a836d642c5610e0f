// Slot numbers: what the gradients of a head's pairs share, for each of its rows: rho/(norm + eps), and Σ d_o·o/(norm·(norm + eps)). Where one of
// the sums is not finite, every row is flagged, so that the marks follow. Slot: normalizer.
fn row_numbers(i: u32, row: u32, in_sequence: bool) -> vec2<u32> {
    if !in_sequence { return vec2(0u); }
    let norm = head_norm();
    let along = bitcast<f32>(head_bits(DELTA)) / select(1.0, norm, norm > 0.0) / (norm + params.norm_eps);
    let broken = is_not_finite(head_bits(SQUARES)) | is_not_finite(head_bits(DELTA));
    if broken & (params.flags_at != ABSENT) { side[params.flags_at + at.q_row + i * at.q_step] |= 1u; }
    return bitcast<vec2<u32>>(vec2(head_share(norm), select(0.0, along, norm > 0.0)));
}
