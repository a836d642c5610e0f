// attention, affine epilogue: what the mean adds to the gradient of a value.
//
//   d_v_j += Σ over the queries that see key j, of all heads that share it, of their row of terms
//
// Owns: its part of a row of d_v, one an invocation. Slots: rows, mask.
@group(0) @binding(5) var<storage, read_write> d_v: array<ElemPart>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let own = (params.first_group + place) * INVOCATIONS + invocation;
    let row = row_at(own / params.row_width);
    if !row.counts { return; }
    let d = own % params.row_width;
    let queries = vec2(queries_from(row.i), queries_to(row.i));
    let group = params.q_heads / params.kv_heads;
    sum_is_broken = Flags(false);
    var sum = Part(0.0);
    for (var h = 0u; h < group; h++) { sum += range_sum(query_segment(at.kv_head * group + h), queries, d); }
    let core = Part(d_v[row.start + d]);
    let value = part_saturated(core + sum, Part(0.0));
    d_v[row.start + d] = ElemPart(part_or_nan(value, sum_is_broken | part_is_lost(core)));
}
