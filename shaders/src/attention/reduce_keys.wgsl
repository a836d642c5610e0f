// attention backward, d_key_bias: Σ over the key/value heads of what backward_key_value left per key.
//
// Owns: d_key_bias [keys], one key an invocation. stream_to is the count of keys.
@group(0) @binding(14) var<storage, read_write> d_key_bias: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let key = (params.first_group + place) * INVOCATIONS + invocation;
    if key >= params.stream_to { return; }
    var sum = 0.0;
    for (var h = 0u; h < params.kv_heads; h++) {
        sum += side_f32(params.key_sums_at + key * params.kv_heads + h);
    }
    d_key_bias[key] = sum;
}
