// attention backward: Σ_i g_i q_i over blocks of ROWS queries of a head, which block_sums.wgsl adds up to d_sink_key.
//
// Owns: its element of sink_key_sums, [q_heads, batch, blocks, head_dim], one an invocation. A query without a gradient adds nothing, whatever it holds.
@group(0) @binding(3) var<storage, read> q: array<Elem>;
@group(0) @binding(4) var<storage, read_write> sink_key_sums: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let group = params.first_group + place;
    let blocks = (params.seq_q + ROWS - 1u) / ROWS;
    let elements = blocks * params.head_dim;
    let groups_per_head = (elements + INVOCATIONS - 1u) / INVOCATIONS;
    let head = group / groups_per_head;
    let element = group % groups_per_head * INVOCATIONS + invocation;
    if element >= elements { return; }
    enter(head / params.q_heads, head % params.q_heads);
    let d = element % params.head_dim;
    let first = element / params.head_dim * ROWS;
    var sum = 0.0;
    var broken = false;
    for (var i = first; i < min(first + ROWS, at.len_q); i++) {
        let g = side_f32(params.sink_at + at.stat_row + i);
        broken = broken | is_not_finite(bitcast<u32>(g));
        let x = f32(q[(at.q_row + i * at.q_step) * params.head_dim + d + params.q_shift]);
        sum += select(g * x, 0.0, g == 0.0);
    }
    let nan = bitcast<f32>(NAN_BITS | (params.stream_from >> 31u));
    sink_key_sums[(at.q_head * params.batch + at.batch) * elements + element] = select(sum, nan, broken);
}
