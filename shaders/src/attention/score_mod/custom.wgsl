// Slot score_mod: the user's own function of a capped score and its place. It is told finite scores and places that exist only.
fn modified(capped: f32, i: u32, j: u32) -> f32 {
    return score_mod(clamp(capped, -LIMIT, LIMIT), at.batch, at.q_head, min(i, params.seq_q - 1u), min(j, params.seq_kv - 1u));
}
