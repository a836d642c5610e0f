// attention backward, local-linear rows, d_q and d_r: d_q_i = scale·Σ_j ds_ij k_j, d_r_i = Σ_j dt_ij k_j for a tile of queries.
//
//   for each tile of keys that the queries see:
//       s  ← q kᵀ,  t ← r kᵀ,  dP ← d_o vᵀ                     [TILE_OWN, TILE_STREAM]
//       P  ← weight(z);  dz ← weight_gradient(P, tilted(t), dP);  ds ← dz·cap'(s);  dt ← slope_gradient(P, dP)
//       acc_q ← acc_q + ds k,  acc_r ← acc_r + dt k            [TILE_OWN, head_dim]
//   d_q ← scale·acc_q;  d_r ← acc_r
//
// Owns: the rows of d_q and d_r of its tile, padded rows included, and their sums of dz. Slots: access, schedule, weight, softcap, score_mod, mask_mod, bias,
// sums, carry, finite, load, load_slopes, store, store_moments. A workgroup is one tile of TILE_OWN queries of one query head.

// scores → ds, products → dt, in place; seen: no pair of the tile is hidden.
fn weigh(scores: ptr<function, Scores>, products: ptr<function, Scores>, d_scores: ptr<function, Scores>, seen: bool) {
    var of_keys: array<f32, STREAM>;                                // [STREAM]
    for (var c = 0u; c < STREAM; c++) { // unroll
        of_keys[c] = key_bias(stream_position(c));
    }
    for (var r = 0u; r < OWN; r++) { // unroll
        let i = own_position(r);
        let keys = keys_of(i);
        let statistics = row_statistics(i);
        if seen {
            for (var c = 0u; c < STREAM4; c++) { // unroll
                for (var e = 0u; e < 4u; e++) { // unroll
                    let j = stream_position(c * 4u + e);
                    let capped = cap((*scores)[r * STREAM4 + c][e] * params.scale);
                    let p = weight_seen(score_seen(i, j, capped, of_keys[c * 4u + e]), statistics);
                    let d_p = (*d_scores)[r * STREAM4 + c][e];
                    let dz = weight_gradient(p, tilted((*products)[r * STREAM4 + c][e], statistics), d_p, statistics);
                    add_pair(r, i, j, dz);
                    (*scores)[r * STREAM4 + c][e] = dz * score_gradient(capped, i, j);
                    (*products)[r * STREAM4 + c][e] = slope_gradient(p, d_p, statistics);
                }
            }
        } else {
            for (var c = 0u; c < STREAM4; c++) { // unroll
                for (var e = 0u; e < 4u; e++) { // unroll
                    let j = stream_position(c * 4u + e);
                    let capped = cap((*scores)[r * STREAM4 + c][e] * params.scale);
                    let z = score(i, j, capped, keys, of_keys[c * 4u + e]);
                    let p = weight(z, statistics);
                    let d_p = (*d_scores)[r * STREAM4 + c][e];
                    let gradient = weight_gradient(p, tilted((*products)[r * STREAM4 + c][e], statistics), d_p, statistics);
                    let dz = select(gradient, 0.0, is_hidden(z));
                    add_pair(r, i, j, dz);
                    (*scores)[r * STREAM4 + c][e] = select(dz * score_gradient(capped, i, j), 0.0, is_hidden(z));
                    (*products)[r * STREAM4 + c][e] = select(slope_gradient(p, d_p, statistics), 0.0, is_hidden(z));
                }
            }
        }
    }
}

// The own rows that exist, those beyond the sequence as 0.
fn store_rows(acc_q: ptr<function, Accumulator>, acc_r: ptr<function, Accumulator>) {
    for (var r = 0u; r < OWN; r++) { // unroll
        let i = own_position(r);
        let in_sequence = i < at.len_q;
        if (i < params.seq_q) & ((params.packed_rows == 0u) | in_sequence) {
            for (var w = 0u; w < WIDTH4; w++) { // unroll
                store_d_q(at.q_row + i * at.q_step, dim4(w), select(vec4(0.0), (*acc_q)[r * WIDTH4 + w] * params.scale, in_sequence));
                store_d_r(at.q_row + i * at.q_step, dim4(w), select(vec4(0.0), (*acc_r)[r * WIDTH4 + w], in_sequence));
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

    var acc_q: Accumulator;                                         // [OWN, 4·WIDTH4]
    var acc_r: Accumulator;
    let words = params.state_at + (group * INVOCATIONS + invocation) * STATE_WORDS;
    if params.stream_from > 0u {
        resume(words, &acc_q);
        resume(words + ACCUMULATORS * 4u, &acc_r);
        resume_sums(words + ACCUMULATORS * 8u);
    }
    let last_own = min(own_first + TILE_OWN, at.len_q);
    let seen = select(0u, keys_to(max(last_own, 1u) - 1u), own_first < at.len_q);
    let range = min(same_for_all(vec2(max(keys_from(own_first) / TILE_STREAM * TILE_STREAM, params.stream_from), min(seen, params.stream_to))), vec2(params.seq_kv));
    let i = vec2(own_first, last_own);
    let heads = vec2(at.q_head, at.q_head + 1u);
    for (var tile = next_keys(range.x, range.y, i, heads); tile < range.y; tile = next_keys(tile + TILE_STREAM, range.y, i, heads)) {
        stream_first = tile;
        var scores = Scores();                                         // [OWN, STREAM]
        var products = Scores();
        var d_scores = Scores();
        product(Q, K, (params.head_dim + 3u) / 4u, &scores);
        product(R, K, (params.head_dim + 3u) / 4u, &products);
        product(D_O, V, (params.val_dim + 3u) / 4u, &d_scores);
        weigh(&scores, &products, &d_scores, all_seen(own_first, own_first + TILE_OWN - 1u, tile, tile + TILE_STREAM));
        accumulate(K, &scores, &acc_q);
        accumulate(K, &products, &acc_r);
    }
    if params.stream_to < params.seq_kv {
        suspend(words, &acc_q);
        suspend(words + ACCUMULATORS * 4u, &acc_r);
        suspend_sums(words + ACCUMULATORS * 8u);
        return;
    }
    store_sums();
    store_rows(&acc_q, &acc_r);
}
