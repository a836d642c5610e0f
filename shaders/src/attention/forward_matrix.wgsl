// attention forward in matrix operations: o = Σ_j P_ij v_j for a tile of queries.
//
//   for each tile of keys that the queries see:
//       s ← q kᵀ                                 [TILE_OWN, TILE_STREAM]
//       z ← bias(cap(scale·s)), hidden where masked; a part of a row an invocation
//       P ← row_update(z)                        times 2^ROW_SHIFT, then rounded to f16 (docs/numerics.md)
//       acc ← row_rescale(acc) + P v             [TILE_OWN, val_dim], in matrix registers; sigmoid: no rescale, so it never leaves them
//   o ← row_share·acc
//
// Owns: the rows of o (and lse) of its tile, padded rows included. Slots: schedule (matrix), score (matrix), row (matrix), softcap, bias, lse,
// carry (matrix), finite, load, store. A workgroup is one subgroup and one tile of queries of one query head.

// Products → scores z of the invocation's part of a row; seen: no pair of the tile is hidden.
fn form_scores(scores: ptr<function, Scores>, seen: bool) {
    for (var c = 0u; c < STREAM4; c++) { // unroll
        (*scores)[c] = score_tile[score_place() + c];
    }
    let i = own_position();
    if seen {
        for (var c = 0u; c < STREAM4; c++) { // unroll
            for (var e = 0u; e < 4u; e++) { // unroll
                let j = stream_position(c * 4u + e);
                (*scores)[c][e] = formed(i, j, (*scores)[c][e]);
            }
        }
    } else {
        let keys = keys_of(i);
        for (var c = 0u; c < STREAM4; c++) { // unroll
            for (var e = 0u; e < 4u; e++) { // unroll
                let j = stream_position(c * 4u + e);
                (*scores)[c][e] = select(HIDDEN, formed(i, j, (*scores)[c][e]), (j >= keys.x) & (j < keys.y));
            }
        }
    }
}

// The part of the own row, if it exists; beyond the sequence as 0.
fn store_rows(acc: ptr<function, Accumulator>) {
    let i = own_position();
    let in_sequence = i < at.len_q;
    let stored = (i < params.seq_q) & ((params.packed_rows == 0u) | in_sequence);
    for (var w = 0u; w < VALUE_PARTS; w++) { // unroll
        workgroupBarrier();
        for (var o = 0u; o < OWN_PARTS; o++) { // unroll
            coopStoreT((*acc)[o * VALUE_PARTS + w], &score_tile[o * EDGE * SCORE_STRIDE4], SCORE_STRIDE4);
        }
        workgroupBarrier();
        if stored {
            for (var c = 0u; c < PART4; c++) { // unroll
                let value = row_share() * score_tile[part_place() + c];
                store_o(at.q_row + i * at.q_step, w * EDGE4 + column * PART4 + c, select(vec4(0.0), value, in_sequence), in_sequence);
            }
        }
    }
    if stored { row_store(i, in_sequence); }
}

// One tile of keys.
fn tile_step(acc: ptr<function, Accumulator>, seen: bool, clean: bool) {
    workgroupBarrier();
    stage_keys();
    workgroupBarrier();
    product();
    workgroupBarrier();
    stage_values();
    var scores: Scores;                                             // [STREAM]
    form_scores(&scores, seen);
    row_update(&scores, seen);
    for (var c = 0u; c < STREAM4; c++) { // unroll
        weight_tile[weight_place() + c] = vec4<f16>(scores[c]);
    }
    workgroupBarrier();
    if clean {
        clean_values();
        workgroupBarrier();
    }
    row_rescale(acc);
    accumulate(acc);
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

    // Keys that some query of the tile sees, cut to this dispatch's share.
    let last_own = min(own_first + TILE_OWN, at.len_q);
    let seen = select(0u, keys_to(max(last_own, 1u) - 1u), own_first < at.len_q);
    let range = min(same_for_all(vec2(max(keys_from(own_first) / TILE_STREAM * TILE_STREAM, params.stream_from), min(seen, params.stream_to))), vec2(params.seq_kv));
    let clean = same_for_all(vec2(select(0u, 1u, any_not_finite()))).x != 0u;
    stage_queries();
    score_begin();

    var acc: Accumulator;                                           // [TILE_OWN, val_dim]
    row_begin();
    let words = params.state_at + (group * INVOCATIONS + invocation) * STATE_WORDS;
    if params.stream_from > 0u {
        resume(words, &acc);
        row_resume(words + VALUE_PARTS * PART4 * 4u);
    }
    for (var tile = range.x; tile < range.y; tile += TILE_STREAM) {
        stream_first = tile;
        tile_step(&acc, all_seen(own_first, last_own - 1u, tile, tile + TILE_STREAM), clean);
    }
    if params.stream_to < params.seq_kv {
        suspend(words, &acc);
        row_suspend(words + VALUE_PARTS * PART4 * 4u);
        return;
    }
    row_end();
    store_rows(&acc);
}
