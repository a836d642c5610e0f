// attention backward, values that are not finite: d_k and d_v of a key in a pair that is NaN are written over with NaN. Row-coupled
// weights: mark_query has flagged the whole row, so every key that the row sees is marked.
//
// Owns: the rows it marks. One key of one key/value head an invocation; of the queries that see it, those from the
// stream_from-th to the stream_to-th. Slots: bias, load, store.
@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    if side[params.flags_at - 1u] == 0u { return; }
    let group = params.first_group + place;
    let groups_per_head = (params.seq_kv + INVOCATIONS - 1u) / INVOCATIONS;
    let j = group % groups_per_head * INVOCATIONS + invocation;
    if j >= params.seq_kv { return; }
    let head = group / groups_per_head;
    let sharers = params.q_heads / params.kv_heads;
    var marked = false;
    for (var h = 0u; h < sharers; h++) {
        enter(head / params.kv_heads, head % params.kv_heads * sharers + h);
        if j >= at.len_kv { return; }
        let first = queries_from(j);
        for (var i = first + params.stream_from; i < min(queries_to(j), first + params.stream_to); i++) {
            if marked { break; }
            let keys = keys_of(i);
            if (j >= keys.x) & (j < keys.y) { marked = pair_is_nan(i, j, query_flags(i)); }
        }
    }
    if marked {
        let nan = bitcast<f32>(NAN_BITS | (params.stream_from >> 31u));
        for (var d4 = 0u; d4 * 4u < params.head_dim; d4++) { store_d_k(at.k_row + j * at.k_step, d4, vec4(nan)); }
        for (var d4 = 0u; d4 * 4u < params.val_dim; d4++) { store_d_v(at.k_row + j * at.k_step, d4, vec4(nan)); }
        if params.key_sums_at != ABSENT {
            side[params.key_sums_at + (at.key_stat + j) * params.kv_heads + at.kv_head] = NAN_BITS;
        }
    }
}
