// Slot of reduce_keys: the gradient of a bias of each key/value head, [batch, kv_heads, seq_kv] or packed [kv_heads, total_kv].
fn key_total(element: u32) -> f32 {
    let keys = select(params.seq_kv, params.total_kv, params.packed_rows == 1u);
    let head = element / keys;
    let key = head / params.kv_heads * keys + element % keys;
    return side_f32(params.key_sums_at + key * params.kv_heads + head % params.kv_heads);
}
