// attention, prologue: a penalty on the length of queries, ½·λ·scale·|q_i|², for slot bias to take from every score of the query.
//
// Owns: its word of side, one query an invocation. A query with a number that is not finite has no penalty: its pairs are NaN, or infinite,
// whatever they are lessened by. Slots: rows.
@group(0) @binding(3) var<storage, read> q: array<Elem>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = row_at((params.first_group + place) * INVOCATIONS + invocation);
    if !row.owned { return; }
    var squares = 0.0;
    var broken = !row.counts;
    for (var d = 0u; d < params.row_width; d++) {
        let x = f32(q[row.start + d]);
        broken = broken | is_not_finite(bitcast<u32>(x));
        squares += x * x;
    }
    let penalty = select(clamp(params.query_penalty * squares, -LIMIT, LIMIT), 0.0, broken);
    side[params.query_penalty_at + row.stat] = bitcast<u32>(penalty);
}
