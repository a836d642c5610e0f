// Slot bias: key bias and ALiBi, either of which may be absent.
// Bias of key j, read once for all queries: HIDDEN if -inf, which hides the key.
fn key_bias(j: u32) -> f32 {
    let there = params.key_bias_at != ABSENT;
    let bits = side[select(0u, params.key_bias_at + at.key_stat + min(j, max(at.len_kv, 1u) - 1u), there)];
    let value = select(clamp(bitcast<f32>(bits), -LIMIT, LIMIT), HIDDEN, bits == NEG_INF_BITS);
    return select(0.0, value, there);
}

fn biased(z: f32, i: u32, j: u32, of_key: f32) -> f32 {
    let shifted = z - at.slope * distance(i, j) + of_key;
    return select(clamp(shifted, -LIMIT, LIMIT), HIDDEN, is_hidden(of_key));
}
