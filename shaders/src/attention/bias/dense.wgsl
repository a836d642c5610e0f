// Slot bias: key bias, ALiBi and the dense score bias [batch | 1, q_heads | 1, seq_q, seq_kv]. A bias of -inf hides the pair.
@group(0) @binding(2) var<storage, read> score_bias: array<u32>;

fn bias_hides() -> bool { return true; }
fn key_bias(j: u32) -> f32 { return given_key_bias(j); }
fn biased(z: f32, i: u32, j: u32, of_key: f32) -> f32 {
    let row = min(i, params.seq_q - 1u) * params.seq_kv + min(j, params.seq_kv - 1u);
    let bits = score_bias[at.batch * params.score_batch + at.q_head * params.score_head + row + params.score_shift];
    let shifted = z - at.slope * distance(i, j) + bitcast<f32>(bits) + of_key;
    return select(clamp(shifted, LOWEST, LIMIT), HIDDEN, (bits == NEG_INF_BITS) | is_hidden(of_key));
}
