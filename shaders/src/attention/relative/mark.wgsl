// attention backward, values that are not finite: the sum of a diagonal with a pair that is NaN is written over with NaN. Row-coupled weights:
// mark_query has flagged the whole row, so every pair of it that is seen is marked.
//
// Owns: the elements it marks. One diagonal of one head an invocation; queries stream_from .. stream_to. Slots: bias, load.
@group(0) @binding(14) var<storage, read_write> relative_diagonals: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    if side[params.flags_at - 1u] == 0u { return; }
    let group = params.first_group + place;
    let diagonals = params.seq_q + params.seq_kv - 1u;
    let per_head = (diagonals + INVOCATIONS - 1u) / INVOCATIONS;
    let x = group % per_head * INVOCATIONS + invocation;
    if x >= diagonals { return; }
    let head = group / per_head;
    enter(head / params.q_heads, head % params.q_heads);
    let nan = bitcast<f32>(NAN_BITS | (params.stream_from >> 31u));
    for (var i = params.stream_from; i < min(params.stream_to, at.len_q); i++) {
        let j = i32(i + x) + 1 - i32(params.seq_q);
        let keys = keys_of(i);
        if (j < i32(keys.x)) | (j >= i32(keys.y)) { continue; }
        if pair_is_nan(i, u32(j), query_flags(i)) {
            relative_diagonals[head * diagonals + x] = nan;
            return;
        }
    }
}
