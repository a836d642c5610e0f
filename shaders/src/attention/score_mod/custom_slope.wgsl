// Slot score_mod: d modified(cap(s)) / d s, by the user's own derivative.
fn score_gradient(capped: f32, i: u32, j: u32) -> f32 {
    let slope = score_mod_slope(clamp(capped, -LIMIT, LIMIT), at.batch, at.q_head, min(i, params.seq_q - 1u), min(j, params.seq_kv - 1u));
    return cap_gradient(capped) * slope;
}
