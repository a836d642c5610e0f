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
        var scores: Scores;
        var d_scores: Scores;
        product(Q, K, (params.head_dim + 3u) / 4u, &scores);
        product(D_O, V, (params.val_dim + 3u) / 4u, &d_scores);
        var of_keys: array<f32, STREAM>;                            // [STREAM]
        for (var c = 0u; c < STREAM; c++) { // unroll
            of_keys[c] = key_bias(stream_position(c));
        }
        for (var r = 0u; r < OWN; r++) { // unroll
            let i = own_position(r);
            let keys = keys_of(i);
            let statistics = row_statistics(i);
            let drop = dropout_row(i);
            for (var c = 0u; c < STREAM4; c++) { // unroll
                for (var e = 0u; e < 4u; e++) { // unroll
                    let j = stream_position(c * 4u + e);
                    let capped = cap(scores[r * STREAM4 + c][e] * params.scale);
                    let z = score(i, j, capped, keys, of_keys[c * 4u + e]);
                    let d_p = dropped(d_scores[r * STREAM4 + c][e], drop, j);
                    let dz = weight_gradient(z, weight(z, statistics), d_p, statistics);
                    total[r * STREAM4 + c][e] += select(dz, 0.0, is_hidden(z));
                }
            }
        }
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
