// attention, a normaliser of whole heads: rows that were stored divided by their own norms are brought to that of their head.
//
//   o_i ← o_i · row_norm_i · rho / (norm + eps)
//
// Owns: its row of o, one row an invocation. A head with a number that is not finite becomes NaN. Slots: rows, normalizer.
@group(0) @binding(7) var<storage, read_write> o: array<Elem>;
@group(0) @binding(8) var<storage, read> row_sum: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = row_at((params.first_group + place) * INVOCATIONS + invocation);
    if !row.counts { return; }
    let broken = is_not_finite(head_bits(SQUARES));
    let factor = row_norm(row_sum[row.stat]) * head_share(head_norm());
    for (var d = 0u; d < params.row_width; d++) {
        let value = saturated(f32(o[row.start + d]) * factor, 0.0);
        o[row.start + d] = Elem(bitcast<f32>(select(bitcast<u32>(value), NAN_BITS, broken)));
    }
}
