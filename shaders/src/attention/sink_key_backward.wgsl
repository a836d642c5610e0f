// attention backward: what a sink key adds to the gradient of the queries.
//
//   g_i ← scale·ds*_i,   dz*_i = -exp(z*_i - lse_i)·delta_i,   ds*_i = dz*_i·cap'(z*_i);   d_q_i ← d_q_i + g_i·k*
//
// Owns: its word of side, which takes g_i in the place of z*_i, and its row of d_q, one query an invocation. Slots: rows, softcap.
@group(0) @binding(4) var<storage, read_write> d_q: array<Elem>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = row_at((params.first_group + place) * INVOCATIONS + invocation);
    if !row.counts { return; }
    let word = params.sink_at + row.stat;
    let z = side_f32(word);
    let delta = side_f32(params.delta_at + row.stat);
    let flagged = params.flags_at != ABSENT;
    let flag = side[select(0u, params.flags_at + at.q_row + row.i * at.q_step, flagged)] & 1u;
    let broken = (flagged & (flag != 0u)) | is_not_finite(bitcast<u32>(delta));
    let share = exp(min(z - side_f32(params.lse_at + row.stat), 0.5));
    let g = params.scale * (select(-share * delta, 0.0, (delta == 0.0) | is_hidden(z)) * cap_gradient(z));
    side[word] = select(bitcast<u32>(g), NAN_BITS, broken);
    if broken | (g == 0.0) { return; }
    let key = params.sink_key_at + at.kv_head * params.row_width;
    for (var d = 0u; d < params.row_width; d++) {
        let before = f32(d_q[row.start + d]);
        d_q[row.start + d] = Elem(saturated(before + g * side_f32(key + d), before));
    }
}
