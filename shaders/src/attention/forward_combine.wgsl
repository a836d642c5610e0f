// attention forward, last step if keys were shared out: o = Σ_s o_s, the shares' parts s of a tile joined in their order.
//
//   for each share of the keys:
//       acc ← row_merge(acc, acc_s)     softmax: both rescaled to the larger maximum; sigmoid: plain addition
//   o ← row_end(acc)
//
// Owns: the rows of o (and lse) of its tile, padded rows included. Slots: access, schedule, rows, row, lse, carry, store.
// A workgroup is one tile, its invocations those that left the parts.

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let group = params.first_group + place;
    take_place(invocation);
    enter_tile(group);

    var acc: Accumulator;                                           // [OWN, 4·WIDTH4]
    row_begin(true);
    for (var split = 0u; split < params.splits; split++) {
        let words = params.state_at + ((group * params.splits + split) * INVOCATIONS + invocation) * STATE_WORDS;
        var part = Accumulator();
        resume(words, &part);
        row_merge(words + ACCUMULATORS * 4u, &part, &acc);
    }
    row_end(&acc);
    store_rows(&acc);
}
