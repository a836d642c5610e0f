// attention backward, prologue: what a penalty on queries adds to their gradient, d_q_i ← d_q_i - λ·scale·q_i·Σ_j dz_ij.
//
// Owns: its row of d_q, one query an invocation. Slots: rows.
@group(0) @binding(3) var<storage, read> q: array<Elem>;
@group(0) @binding(4) var<storage, read_write> d_q: array<Elem>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = row_at((params.first_group + place) * INVOCATIONS + invocation);
    if !row.counts { return; }
    let bits = side[params.row_sums_at + row.stat * 2u];
    if (bits << 1u) == 0u { return; }
    let factor = 2.0 * params.query_penalty * bitcast<f32>(bits);
    for (var d = 0u; d < params.row_width; d++) {
        let before = f32(d_q[row.start + d]);
        let x = f32(q[row.start + d]);
        let broken = is_not_finite(bits) | is_not_finite(bitcast<u32>(before)) | is_not_finite(bitcast<u32>(x));
        let after = saturated(before - factor * x, before);
        d_q[row.start + d] = Elem(bitcast<f32>(select(bitcast<u32>(after), NAN_BITS, broken)));
    }
}
