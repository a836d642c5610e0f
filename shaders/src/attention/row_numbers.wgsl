// attention backward, preprocess: the two numbers of a row that its gradients need.
//   softmax: lse, made safe to use, and delta       a normaliser: 1/n, and what it takes from d_o·v
//
// Owns: the lse and delta words of side, one row an invocation; padded rows get 0. Slots: numbers, and those that numbers needs.
@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = (params.first_group + place) * INVOCATIONS + invocation;
    if row >= params.batch * params.q_heads * params.seq_q { return; }
    let i = row % params.seq_q;
    let head = row / params.seq_q;
    enter(head / params.q_heads, head % params.q_heads);
    let in_sequence = i < at.len_q;
    if (params.packed_rows == 1u) & !in_sequence { return; }
    let stat = at.stat_row + i;
    let numbers = row_numbers(i, stat + params.lse_shift, in_sequence);
    side[params.lse_at + stat] = numbers.x;
    side[params.delta_at + stat] = numbers.y;
}
