// attention statistics, first sweep over a query's keys: what the masses of its row are relative to, and whether the row is broken.
//
//   level_i ← max_j level(z_ij)
//
// Owns: two words of side a row. One query of one head an invocation; of its keys, those from the stream_from-th to the stream_to-th.
// Slots: rows, pair, mass.
@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = row_at((params.first_group + place) * INVOCATIONS + invocation);
    if !row.owned { return; }
    let words = params.state_at + row.stat * ROW_WORDS;
    let goes_on = params.stream_from > 0u;
    var level_so_far = select(level_start(row.i), side_f32(words), goes_on);
    var broken = goes_on & (side[words + 4u] != 0u);
    let keys = keys_of(row.i);
    for (var j = keys.x + params.stream_from; j < min(keys.y, keys.x + params.stream_to); j++) {
        let pair = pair_of(row.i, j);
        let raised = max(level_so_far, level(select(0.0, pair.z, pair.seen)));
        level_so_far = select(level_so_far, raised, pair.seen);
        broken = broken | pair.broken;
    }
    side[words] = bitcast<u32>(level_so_far);
    side[words + 4u] = u32(broken);
}
