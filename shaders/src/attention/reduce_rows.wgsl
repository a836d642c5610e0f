// attention backward: one number per target (a head, or the whole op) as the sum of a term over its rows.
//
// Owns: one output element a workgroup. Each invocation sums every INVOCATIONS-th row, then a fixed tree adds the partial sums; a later
// dispatch adds to what an earlier one left. stream_from .. stream_to counts the rows of a target. Slots: reduction.
var<workgroup> partial: array<f32, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let target_index = params.first_group + place;
    var sum = 0.0;
    for (var n = params.stream_from + invocation; n < params.stream_to; n += INVOCATIONS) {
        sum += row_term(target_index, n);
    }
    partial[invocation] = sum;
    for (var half = INVOCATIONS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if invocation < half { partial[invocation] += partial[invocation + half]; }
    }
    if invocation == 0u { store_total(target_index, partial[0], params.stream_from > 0u); }
}

// Row n of a head, in the order of lse: [batch, q_heads, seq_q], packed [q_heads, total_q].
fn head_row(head: u32, n: u32) -> u32 {
    let dense = (n / params.seq_q * params.q_heads + head) * params.seq_q + n % params.seq_q;
    return select(dense, head * params.total_q + n, params.packed_rows == 1u);
}
