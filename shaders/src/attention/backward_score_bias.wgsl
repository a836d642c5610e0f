// attention backward, d_score_bias: dz summed over the batch entries and heads that share the bias, for a tile of the bias.
//
//   for each (batch, head) that shares this bias:
//       s ← q kᵀ,  dP ← d_o vᵀ;  total ← total + weight_gradient(z, weight(z), dropout(dP))   [TILE_OWN, TILE_STREAM]
//
// Owns: a tile of d_score_bias. stream_from .. stream_to counts the sharers; a later dispatch adds to what an earlier one left.
// Slots: access, schedule, weight, dropout, softcap, score_mod, mask_mod, bias, load, accumulated values: none. A workgroup is one tile of one bias matrix.
@group(0) @binding(13) var<storage, read_write> d_score_bias: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let group = params.first_group + place;
    let columns = (params.seq_kv + TILE_STREAM - 1u) / TILE_STREAM;
    let tiles = columns * ((params.seq_q + TILE_OWN - 1u) / TILE_OWN);
    let matrix = group / tiles;
    take_place(invocation);
    own_first = (group % tiles) / columns * TILE_OWN;
    stream_first = (group % tiles) % columns * TILE_STREAM;

    var total: Scores;                                              // [OWN, STREAM]
    for (var n = params.stream_from; n < params.stream_to; n++) {
        enter_sharer(matrix, n);
        add_gradients(&total);
    }
    for (var r = 0u; r < OWN; r++) { // unroll
        let i = own_position(r);
        for (var c = 0u; c < STREAM4; c++) { // unroll
            for (var e = 0u; e < 4u; e++) { // unroll
                let j = stream_position(c * 4u + e);
                if (i < params.seq_q) & (j < params.seq_kv) {
                    let element = (matrix * params.seq_q + i) * params.seq_kv + j + params.score_shift;
                    var before = 0.0;
                    if params.stream_from > 0u { before = d_score_bias[element]; }
                    d_score_bias[element] = before + total[r * STREAM4 + c][e];
                }
            }
        }
    }
}
