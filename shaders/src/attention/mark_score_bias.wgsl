// attention backward, values that are not finite: d_score_bias of a pair that is NaN, in any batch entry and head that share the bias, is
// written over with NaN. Row-coupled weights: mark_query has flagged the whole row, so every pair of it that is seen is marked.
//
// Owns: the elements it marks. One row of one bias matrix an invocation; keys stream_from .. stream_to. Slots: bias, load.
@group(0) @binding(13) var<storage, read_write> d_score_bias: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    if side[params.flags_at - 1u] == 0u { return; }
    let group = params.first_group + place;
    let groups_per_matrix = (params.seq_q + INVOCATIONS - 1u) / INVOCATIONS;
    let i = group % groups_per_matrix * INVOCATIONS + invocation;
    if i >= params.seq_q { return; }
    let matrix = group / groups_per_matrix;
    let sharers = select(params.q_heads, 1u, params.score_head > 0u) * select(params.batch, 1u, params.score_batch > 0u);
    let nan = bitcast<f32>(NAN_BITS | (params.stream_from >> 31u));
    for (var n = 0u; n < sharers; n++) {
        enter_sharer(matrix, n);
        if i >= at.len_q { continue; }
        let keys = keys_of(i);
        let of_query = query_flags(i);
        for (var j = max(keys.x, params.stream_from); j < min(keys.y, params.stream_to); j++) {
            if pair_is_nan(i, j, of_query) {
                d_score_bias[(matrix * params.seq_q + i) * params.seq_kv + j + params.score_shift] = nan;
            }
        }
    }
}
