// attention forward: o = Σ_j P_ij v_j for a tile of queries.
//
//   for each tile of keys that the queries see:
//       s ← q kᵀ                        [TILE_OWN, TILE_STREAM]
//       z ← bias(cap(scale·s)), hidden where masked
//       P ← row_update(z)               softmax: online maximum and sum, acc rescaled; sigmoid: σ(z), nothing else
//       acc ← acc + P v                 [TILE_OWN, val_dim]
//   o ← row_end(acc)
//
// Owns: the rows of o (and lse) of its tile, padded rows included. Slots: access, schedule, row, softcap, bias, lse, carry, finite, load, store.
// A workgroup is one tile of TILE_OWN queries of one query head.

// Products → scores z, in place; seen: no pair of the tile is hidden.
fn form_scores(scores: ptr<function, Scores>, seen: bool) {
    var of_keys: array<f32, STREAM>;                                // [STREAM]
    for (var c = 0u; c < STREAM; c++) { // unroll
        of_keys[c] = key_bias(stream_position(c));
    }
    if seen {
        for (var r = 0u; r < OWN; r++) { // unroll
            for (var c = 0u; c < STREAM4; c++) { // unroll
                for (var e = 0u; e < 4u; e++) { // unroll
                    let capped = cap((*scores)[r * STREAM4 + c][e] * params.scale);
                    (*scores)[r * STREAM4 + c][e] = score_seen(own_position(r), stream_position(c * 4u + e), capped, of_keys[c * 4u + e]);
                }
            }
        }
    } else {
        for (var r = 0u; r < OWN; r++) { // unroll
            let i = own_position(r);
            let keys = keys_of(i);
            for (var c = 0u; c < STREAM4; c++) { // unroll
                for (var e = 0u; e < 4u; e++) { // unroll
                    let capped = cap((*scores)[r * STREAM4 + c][e] * params.scale);
                    (*scores)[r * STREAM4 + c][e] = score(i, stream_position(c * 4u + e), capped, keys, of_keys[c * 4u + e]);
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
                store_o(at.q_row + i * at.q_step, dim4(w), select(vec4(0.0), (*acc)[r * WIDTH4 + w], in_sequence));
            }
            row_store(r, i, in_sequence);
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
    row_begin();
    let words = params.state_at + (group * INVOCATIONS + invocation) * STATE_WORDS;
    if params.stream_from > 0u {
        resume(words, &acc);
        row_resume(words + ACCUMULATORS * 4u);
    }
    // Keys that some query of the tile sees, cut to this dispatch's share.
    let last_own = min(own_first + TILE_OWN, at.len_q);
    let seen = select(0u, keys_to(max(last_own, 1u) - 1u), own_first < at.len_q);
    let range = same_for_all(vec2(max(keys_from(own_first) / TILE_STREAM * TILE_STREAM, params.stream_from), min(seen, params.stream_to)));
    for (var tile = range.x; tile < range.y; tile += TILE_STREAM) {
        stream_first = tile;
        var scores: Scores;                                         // [OWN, STREAM]
        product(Q, K, (params.head_dim + 3u) / 4u, &scores);
        let all = all_seen(own_first, own_first + TILE_OWN - 1u, tile, tile + TILE_STREAM);
        form_scores(&scores, all);
        row_update(&scores, &acc, all);
        accumulate(V, &scores, &acc);
    }
    if params.stream_to < params.seq_kv {
        suspend(words, &acc);
        row_suspend(words + ACCUMULATORS * 4u);
        return;
    }
    row_end(&acc);
    store_rows(&acc);
}
