// attention: the logit of a sink key, z*_i = cap(scale·q_i·k*), for `sink_of` to read.
//
// Owns: its word of side, one query an invocation. A query with an infinity scores an infinity: -inf has no weight, and +inf or what is no number
// flags the row, for the marks to follow. Slots: rows, softcap.
@group(0) @binding(3) var<storage, read> q: array<Elem>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = row_at((params.first_group + place) * INVOCATIONS + invocation);
    if !row.owned { return; }
    let key = params.sink_key_at + at.kv_head * params.row_width;
    let width = select(0u, params.row_width, row.counts);
    var sum = 0.0;
    var broken = false;
    var up = false;
    var down = false;
    for (var d = 0u; d < width; d++) {
        let x = bitcast<u32>(f32(q[row.start + d]));
        let y = side[key + d];
        if is_not_finite(x) {
            broken = broken | ((x & 0x7fffffu) != 0u) | ((y << 1u) == 0u);
            let negative = ((x ^ y) >> 31u) == 1u;
            up = up | !negative;
            down = down | negative;
        } else {
            sum += bitcast<f32>(x) * bitcast<f32>(y);
        }
    }
    let above = select(up, down, params.scale < 0.0);
    broken = broken | (up & down) | above | ((up | down) & (params.scale == 0.0));
    if broken & (params.flags_at != ABSENT) { side[params.flags_at + at.q_row + row.i * at.q_step] |= 1u; }
    let z = select(clamp(cap(sum * params.scale), -LIMIT, LIMIT), HIDDEN, up | down);
    side[params.sink_at + row.stat] = bitcast<u32>(z);
}
