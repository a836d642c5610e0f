// attention backward, d_key_bias: what backward_key_value left per key and key/value head.
//
// Owns: its element of d_key_bias, one an invocation. stream_to is the count of elements. Slot: key_total.
@group(0) @binding(14) var<storage, read_write> d_key_bias: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let element = (params.first_group + place) * INVOCATIONS + invocation;
    if element >= params.stream_to { return; }
    d_key_bias[element] = key_total(element);
}
