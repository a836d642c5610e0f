// attention, values that are not finite: a query row with a NaN of its own, or that sees a pair that is NaN, is written over with NaN.
//
// Owns: the rows it marks. One row an invocation; of the keys that it sees, those
// from the stream_from-th to the stream_to-th. Slots: bias, load, mark (what a marked row is), softcap.
@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    if side[params.flags_at - 1u] == 0u { return; }
    // A unit is the rows of the query heads that share a key/value head.
    let group = params.first_group + place;
    let rows = params.q_heads / params.kv_heads * params.seq_q;
    let groups_per_unit = (rows + INVOCATIONS - 1u) / INVOCATIONS;
    let row = group % groups_per_unit * INVOCATIONS + invocation;
    if row >= rows { return; }
    let i = row % params.seq_q;
    let head = group / groups_per_unit * (params.q_heads / params.kv_heads) + row / params.seq_q;
    enter(head / params.q_heads, head % params.q_heads);
    if i >= at.len_q { return; }
    let own = query_flags(i);
    var marked = (own & NOT_FINITE) != 0u;
    let keys = keys_of(i);
    for (var j = keys.x + params.stream_from; j < min(keys.y, keys.x + params.stream_to); j++) {
        if marked { break; }
        marked = pair_is_nan(i, j, own);
    }
    if marked { mark_row(i); }
}
