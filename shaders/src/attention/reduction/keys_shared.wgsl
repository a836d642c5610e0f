// Slot of reduce_keys: the gradient of a bias that all key/value heads share.
fn key_total(key: u32) -> f32 {
    var sum = 0.0;
    for (var h = 0u; h < params.kv_heads; h++) {
        sum += side_f32(params.key_sums_at + key * params.kv_heads + h);
    }
    return sum;
}
