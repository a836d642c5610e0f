// softmax backward, preprocess: delta_i = Σ_d d_o[i, d]·o[i, d] - d_lse[i], and lse_i made safe to use (0 where there is none).
//
// Owns: the lse and delta words of side, one row an invocation; padded rows get 0. Slots: d_lse.
@group(0) @binding(6) var<storage, read> d_o: array<Elem>;
@group(0) @binding(7) var<storage, read> o: array<Elem>;
@group(0) @binding(8) var<storage, read> lse: array<u32>;

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
    var delta = 0.0;
    var safe_lse = 0u;
    if in_sequence {
        let first = (at.q_row + i * at.q_step) * params.val_dim + params.o_shift;
        for (var d = 0u; d < params.val_dim; d++) {
            delta += f32(d_o[first + d]) * f32(o[first + d]);
        }
        delta -= upstream_d_lse(stat + params.lse_shift);
        let bits = lse[stat + params.lse_shift];
        safe_lse = select(bits, 0u, is_not_finite(bits));
    }
    side[params.lse_at + stat] = safe_lse;
    side[params.delta_at + stat] = bitcast<u32>(delta);
}
