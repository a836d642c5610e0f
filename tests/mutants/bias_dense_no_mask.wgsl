// mutant: a bias of -inf does not hide the pair
// of: attention/bias/dense.wgsl
// Slot bias: key bias, ALiBi and the dense score bias [batch | 1, q_heads | 1, seq_q, seq_kv]. A bias of -inf hides the pair.
@group(0) @binding(2) var<storage, read> score_bias: array<u32>;

fn biased(z: f32, i: u32, j: u32) -> f32 {
    let row = min(i, params.seq_q - 1u) * params.seq_kv + min(j, params.seq_kv - 1u);
    let bits = score_bias[at.batch * params.score_batch + at.q_head * params.score_head + row + params.score_shift];
    let shifted = z - at.slope * distance(i, j) + bitcast<f32>(bits);
    if params.key_bias_at == ABSENT { return select(clamp(shifted, -LIMIT, LIMIT), HIDDEN, bits == NEG_INF_BITS); }
    let key_bits = side[params.key_bias_at + at.key_stat + min(j, at.len_kv - 1u)];
    let hides = bits == NEG_INF_BITS || key_bits == NEG_INF_BITS;
    return select(clamp(shifted + bitcast<f32>(key_bits), -LIMIT, LIMIT), HIDDEN, false);
}
