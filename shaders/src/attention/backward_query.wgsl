// attention backward, d_q: d_q_i = scale·Σ_j ds_ij k_j for a tile of queries.
//
//   for each tile of keys that the queries see:
//       s  ← q kᵀ,  dP ← d_o vᵀ         [TILE_OWN, TILE_STREAM]
//       P  ← weight(z);  dz ← weight_gradient(z, P, dropout(dP));  ds ← dz·cap'(s)
//       acc ← acc + ds k                [TILE_OWN, head_dim]
//   d_q ← scale·acc
//
// Owns: the rows of d_q of its tile, padded rows included, and their sums of dz. Slots: access, schedule, weight, dropout, softcap, score_mod, mask_mod, bias, sums, carry,
// finite, load, store. A workgroup is one tile of TILE_OWN queries of one query head.

// scores, d_scores → ds in d_scores; seen: no pair of the tile is hidden.
fn weigh(scores: ptr<function, Scores>, d_scores: ptr<function, Scores>, seen: bool) {
    var of_keys: array<f32, STREAM>;                                // [STREAM]
    for (var c = 0u; c < STREAM; c++) { // unroll
        of_keys[c] = key_bias(stream_position(c));
    }
    for (var r = 0u; r < OWN; r++) { // unroll
        let i = own_position(r);
        let keys = keys_of(i);
        let statistics = row_statistics(i);
        let drop = dropout_row(i);
        if seen {
            for (var c = 0u; c < STREAM4; c++) { // unroll
                for (var e = 0u; e < 4u; e++) { // unroll
                    let j = stream_position(c * 4u + e);
                    let capped = cap((*scores)[r * STREAM4 + c][e] * params.scale);
                    let z = score_seen(i, j, capped, of_keys[c * 4u + e]);
                    let d_p = dropped((*d_scores)[r * STREAM4 + c][e], drop, j);
                    let dz = weight_gradient(z, weight_seen(z, statistics), d_p, statistics);
                    add_pair(r, i, j, dz);
                    (*d_scores)[r * STREAM4 + c][e] = dz * score_gradient(capped, i, j);
                }
            }
        } else {
            for (var c = 0u; c < STREAM4; c++) { // unroll
                for (var e = 0u; e < 4u; e++) { // unroll
                    let j = stream_position(c * 4u + e);
                    let capped = cap((*scores)[r * STREAM4 + c][e] * params.scale);
                    let z = score(i, j, capped, keys, of_keys[c * 4u + e]);
                    let d_p = dropped((*d_scores)[r * STREAM4 + c][e], drop, j);
                    let dz = select(weight_gradient(z, weight(z, statistics), d_p, statistics), 0.0, is_hidden(z));
                    add_pair(r, i, j, dz);
                    (*d_scores)[r * STREAM4 + c][e] = select(dz * score_gradient(capped, i, j), 0.0, is_hidden(z));
                }
            }
        }
    }
}

// The own rows that exist, those beyond the sequence as 0.
fn store_rows(acc: ptr<function, Accumulator>) {
    for (var r = 0u; r < OWN; r++) { // unroll
        let i = own_position(r);
        let in_sequence = i < at.len_q;
        if (i < params.seq_q) & ((params.packed_rows == 0u) | in_sequence) {
            for (var w = 0u; w < WIDTH4; w++) { // unroll
                store_d_q(at.q_row + i * at.q_step, dim4(w), select(vec4(0.0), (*acc)[r * WIDTH4 + w] * params.scale, in_sequence));
            }
        }
    }
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let group = params.first_group + place;
    let tiles = (params.seq_q + TILE_OWN - 1u) / TILE_OWN;
    let head = group / tiles;
    enter(head / params.q_heads, head % params.q_heads);
    take_place(invocation);
    own_first = (group % tiles) * TILE_OWN;

    var acc: Accumulator;                                           // [OWN, 4·WIDTH4]
    let words = params.state_at + (group * INVOCATIONS + invocation) * STATE_WORDS;
    if params.stream_from > 0u {
        resume(words, &acc);
        resume_sums(words + ACCUMULATORS * 4u);
    }
    let last_own = min(own_first + TILE_OWN, at.len_q);
    let seen = select(0u, keys_to(max(last_own, 1u) - 1u), own_first < at.len_q);
    let range = min(same_for_all(vec2(max(keys_from(own_first) / TILE_STREAM * TILE_STREAM, params.stream_from), min(seen, params.stream_to))), vec2(params.seq_kv));
    let i = vec2(own_first, last_own);
    let heads = vec2(at.q_head, at.q_head + 1u);
    for (var tile = next_keys(range.x, range.y, i, heads); tile < range.y; tile = next_keys(tile + TILE_STREAM, range.y, i, heads)) {
        stream_first = tile;
        var scores = Scores();                                         // [OWN, STREAM]
        var d_scores = Scores();
        product(Q, K, (params.head_dim + 3u) / 4u, &scores);
        product(D_O, V, (params.val_dim + 3u) / 4u, &d_scores);
        weigh(&scores, &d_scores, all_seen(own_first, own_first + TILE_OWN - 1u, tile, tile + TILE_STREAM));
        accumulate(K, &d_scores, &acc);
    }
    if params.stream_to < params.seq_kv {
        suspend(words, &acc);
        suspend_sums(words + ACCUMULATORS * 4u);
        return;
    }
    store_sums();
    store_rows(&acc);
}
