// attention backward, d_k and d_v: d_k_j = scale·Σ_i ds_ij q_i, d_v_j = Σ_i P_ij d_o_i for a tile of keys, over all query heads that
// share the key/value head.
//
//   for each query head of the group, for each tile of queries that see the keys:
//       sᵀ ← k qᵀ,  dPᵀ ← v d_oᵀ        [TILE_OWN, TILE_STREAM]
//       P  ← weight(z);  dz ← weight_gradient(z, P, dropout(dP));  ds ← dz·cap'(s)
//       acc_v ← acc_v + dropout(P)ᵀ d_o [TILE_OWN, val_dim]
//       acc_k ← acc_k + dsᵀ q           [TILE_OWN, head_dim]
//   d_k ← scale·acc_k;  d_v ← acc_v
//
// Owns: the rows of d_k and d_v of its tile, padded rows included, and their sums of dz. Slots: access, schedule, weight, dropout, softcap, score_mod, mask_mod, bias, sums,
// carry, finite, load, store. A workgroup is one tile of TILE_OWN keys of one key/value head.

// scores → P, d_scores → ds, in place; seen: no pair of the tile is hidden.
fn weigh(scores: ptr<function, Scores>, d_scores: ptr<function, Scores>, of_keys: ptr<function, Rows>, seen: bool) {
    for (var c = 0u; c < STREAM4; c++) { // unroll
        for (var e = 0u; e < 4u; e++) { // unroll
            let i = stream_position(c * 4u + e);
            let keys = keys_of(i);
            let statistics = row_statistics(i);
            let drop = dropout_row(i);
            if seen {
                for (var r = 0u; r < OWN; r++) { // unroll
                    let j = own_position(r);
                    let capped = cap((*scores)[r * STREAM4 + c][e] * params.scale);
                    let z = score_seen(i, j, capped, (*of_keys)[r / 4u][r % 4u]);
                    let p = weight_seen(z, statistics);
                    let d_p = dropped((*d_scores)[r * STREAM4 + c][e], drop, j);
                    let dz = weight_gradient(z, p, d_p, statistics);
                    add_pair(r, i, j, dz);
                    (*scores)[r * STREAM4 + c][e] = dropped(p, drop, j);
                    (*d_scores)[r * STREAM4 + c][e] = dz * score_gradient(capped, i, j);
                }
            } else {
                for (var r = 0u; r < OWN; r++) { // unroll
                    let j = own_position(r);
                    let capped = cap((*scores)[r * STREAM4 + c][e] * params.scale);
                    let z = score(i, j, capped, keys, (*of_keys)[r / 4u][r % 4u]);
                    let p = weight(z, statistics);
                    let d_p = dropped((*d_scores)[r * STREAM4 + c][e], drop, j);
                    let dz = select(weight_gradient(z, p, d_p, statistics), 0.0, is_hidden(z));
                    add_pair(r, i, j, dz);
                    (*scores)[r * STREAM4 + c][e] = dropped(p, drop, j);
                    (*d_scores)[r * STREAM4 + c][e] = select(dz * score_gradient(capped, i, j), 0.0, is_hidden(z));
                }
            }
        }
    }
}

// The own rows that exist, those beyond the sequence as 0.
fn store_rows(acc_k: ptr<function, Accumulator>, acc_v: ptr<function, Accumulator>) {
    for (var r = 0u; r < OWN; r++) { // unroll
        let j = own_position(r);
        let in_sequence = j < at.len_kv;
        if (j < params.seq_kv) & ((params.packed_rows == 0u) | in_sequence) {
            for (var w = 0u; w < WIDTH4; w++) { // unroll
                store_d_k(at.k_row + j * at.k_step, dim4(w), select(vec4(0.0), (*acc_k)[r * WIDTH4 + w] * params.scale, in_sequence));
                store_d_v(at.k_row + j * at.k_step, dim4(w), select(vec4(0.0), (*acc_v)[r * WIDTH4 + w], in_sequence));
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
    let tiles = (params.seq_kv + TILE_OWN - 1u) / TILE_OWN;
    let head = group / tiles;
    let sharers = params.q_heads / params.kv_heads;
    let batch = head / params.kv_heads;
    let first_head = head % params.kv_heads * sharers;
    enter(batch, first_head);
    take_place(invocation);
    own_first = (group % tiles) * TILE_OWN;

    var acc_k: Accumulator;                                         // [OWN, 4·WIDTH4]
    var acc_v: Accumulator;
    let words = params.state_at + (group * INVOCATIONS + invocation) * STATE_WORDS;
    if params.stream_from > 0u {
        resume(words, &acc_k);
        resume(words + ACCUMULATORS * 4u, &acc_v);
        resume_sums(words + ACCUMULATORS * 8u);
    }
    let last_own = min(own_first + TILE_OWN, at.len_kv);
    let seeing = select(0u, queries_to(max(last_own, 1u) - 1u), own_first < at.len_kv);
    let range = min(same_for_all(vec2(max(queries_from(own_first) / TILE_STREAM * TILE_STREAM, params.stream_from), min(seeing, params.stream_to))), vec2(params.seq_q));
    for (var h = 0u; h < sharers; h++) {
        enter(batch, first_head + h);
        var of_keys = Rows();                                          // [OWN]
        for (var r = 0u; r < OWN; r++) { // unroll
            of_keys[r / 4u][r % 4u] = key_bias(own_position(r));
        }
        let j = vec2(own_first, last_own);
        for (var tile = next_queries(range.x, range.y, j); tile < range.y; tile = next_queries(tile + TILE_STREAM, range.y, j)) {
            stream_first = tile;
            var scores = Scores();                                     // [OWN, STREAM]
            var d_scores = Scores();
            product(K, Q, (params.head_dim + 3u) / 4u, &scores);
            product(V, D_O, (params.val_dim + 3u) / 4u, &d_scores);
            weigh(&scores, &d_scores, &of_keys, all_seen(tile, tile + TILE_STREAM - 1u, own_first, own_first + TILE_OWN));
            accumulate(D_O, &scores, &acc_v);
            accumulate(Q, &d_scores, &acc_k);
        }
    }
    if params.stream_to < params.seq_q {
        suspend(words, &acc_k);
        suspend(words + ACCUMULATORS * 4u, &acc_v);
        suspend_sums(words + ACCUMULATORS * 8u);
        return;
    }
    store_sums();
    store_rows(&acc_k, &acc_v);
}
