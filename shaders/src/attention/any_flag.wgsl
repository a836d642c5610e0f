// attention, values that are not finite: whether there is any, so that the marking steps can leave at once.
//
// Owns: the word flags_at - 1 of side. One workgroup; stream_to is the count of rows.
var<workgroup> found: array<u32, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(local_invocation_index) invocation: u32) {
    if id.x >= params.group_count { return; }
    var flags = 0u;
    for (var row = params.stream_from + invocation; row < params.stream_to; row += INVOCATIONS) {
        flags |= side[params.flags_at + row];
    }
    found[invocation] = flags;
    for (var half = INVOCATIONS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if invocation < half { found[invocation] |= found[invocation + half]; }
    }
    if invocation == 0u {
        let before = select(0u, side[params.flags_at - 1u], params.stream_from > 0u);
        side[params.flags_at - 1u] = before | found[0];
    }
}
