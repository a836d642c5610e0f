// Beside built-in masks of slot mask_mod: the user's own function. It is told places that exist only.
fn own_hides_pairs() -> bool { return true; }
fn own_hides_pair(i: u32, j: u32) -> bool {
    return !mask_mod(at.batch, at.q_head, min(i, params.seq_q - 1u), min(j, params.seq_kv - 1u));
}
