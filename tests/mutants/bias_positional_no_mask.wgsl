// mutant: a key bias of -inf does not hide the key
// of: attention/bias/positional.wgsl
// Slot bias: key bias and ALiBi, either of which may be absent. A key bias of -inf hides the key.
fn biased(z: f32, i: u32, j: u32) -> f32 {
    let sloped = z - at.slope * distance(i, j);
    if params.key_bias_at == ABSENT { return clamp(sloped, -LIMIT, LIMIT); }
    let bits = side[params.key_bias_at + at.key_stat + min(j, at.len_kv - 1u)];
    return select(clamp(sloped + bitcast<f32>(bits), -LIMIT, LIMIT), HIDDEN, false);
}
