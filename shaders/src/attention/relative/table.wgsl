// attention backward: d_relative_bias from sums by j - i: a diagonal of each batch entry, or all from the table's end on.
//
// Owns: one element of the table a workgroup. Each invocation sums every INVOCATIONS-th term, then a fixed tree adds the partial sums; a later
// dispatch adds to what an earlier one left. stream_from .. stream_to counts terms of an end.
@group(0) @binding(13) var<storage, read> relative_diagonals: array<f32>;
@group(0) @binding(14) var<storage, read_write> d_relative_bias: array<f32>;
var<workgroup> partial: array<f32, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let element = params.first_group + place;
    let entries = u32(2 * params.reach + 1);
    let head = element / entries;
    let entry = i32(element % entries) - params.reach;
    let is_end = abs(entry) == params.reach;
    let diagonals = select(params.seq_q + params.seq_kv - 1u, 0u, params.seq_kv == 0u);
    let terms = select(params.batch, params.batch * diagonals, is_end);
    var sum = 0.0;
    for (var n = params.stream_from + invocation; n < min(params.stream_to, terms); n += INVOCATIONS) {
        let batch = select(n, n / max(diagonals, 1u), is_end);
        enter(batch, head);
        let middle = at.off + i32(params.seq_q) - 1;                // the diagonal of relative position 0
        let x = select(middle + entry, i32(n % max(diagonals, 1u)), is_end);
        let beyond = ((x - middle <= entry) & (entry == -params.reach)) | ((x - middle >= entry) & (entry == params.reach));
        let there = (x >= 0) & (x < i32(diagonals)) & (!is_end | beyond);
        let word = (batch * params.q_heads + head) * diagonals + u32(max(x, 0));
        sum += select(0.0, relative_diagonals[select(0u, word, there)], there);
    }
    partial[invocation] = sum;
    for (var half = INVOCATIONS / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if invocation < half { partial[invocation] += partial[invocation + half]; }
    }
    if invocation == 0u {
        let before = select(0.0, d_relative_bias[element], params.stream_from > 0u);
        d_relative_bias[element] = before + partial[0];
    }
}
