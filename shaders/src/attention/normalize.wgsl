// attention backward, preprocess for rows that have a normaliser: 1/n_i, and c_i, what d_o_i·v_j is lessened by.
//
// Owns: the lse and delta words of side, which hold 1/n and c here, one row an invocation; padded rows get 0. Slots: saved, normalizer,
// correction.
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
    var share = 0.0;
    var correction = 0.0;
    var delta = 0u;
    if in_sequence {
        let sum = saved_sum(stat + params.lse_shift);
        share = row_share(sum, i);
        delta = delta_bits(i);
        correction = row_correction(sum, bitcast<f32>(delta));
    }
    store_gradient(stat + params.lse_shift, delta);
    side[params.lse_at + stat] = bitcast<u32>(share);
    side[params.delta_at + stat] = bitcast<u32>(correction);
}
