// attention forward: o = Σ_j P_ij v_j for a tile of queries.
//
//   for each tile of keys that the queries see:
//       s ← q kᵀ                        [TILE_OWN, TILE_STREAM]
//       z ← bias(cap(scale·s)), hidden where masked
//       P ← row_update(z)               softmax: online maximum and sum, acc rescaled; sigmoid: σ(z), nothing else
//       acc ← acc + dropout(P) v        [TILE_OWN, val_dim]
//   o ← row_end(acc)
//
// Owns: the rows of o (and lse) of its tile, padded rows included; or, if keys are shared out, a share's part of them, which
// forward_combine.wgsl joins. Slots: access, schedule, rows, row, dropout, softcap, score_mod, mask_mod, bias, lse, carry, finite, load, store.
// A workgroup is one tile of TILE_OWN rows: the queries of one query head, or of all heads that share a key/value head.

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let group = params.first_group + place;
    take_place(invocation);
    enter_tile(tile_of(group));

    var acc: Accumulator;                                           // [OWN, 4·WIDTH4]
    row_begin(TAKES_SINK);
    let words = params.state_at + (group * INVOCATIONS + invocation) * STATE_WORDS;
    if resumes() {
        resume(words, &acc);
        row_resume(words + ACCUMULATORS * 4u);
    }
    // Keys that some query of the tile sees, cut to this dispatch's or workgroup's share.
    let share = share_of(group);
    let seen = keys_of_tile();
    let range = min(same_for_all(vec2(max(seen.x / TILE_STREAM * TILE_STREAM, share.x), min(seen.y, share.y))), vec2(params.seq_kv));
    let i = queries_of_tile();
    let heads = heads_of_tile();
    for (var tile = next_keys(range.x, range.y, i, heads); tile < range.y; tile = next_keys(tile + TILE_STREAM, range.y, i, heads)) {
        stream_first = tile;
        var scores = Scores();                                         // [OWN, STREAM]
        product(Q, K, (params.head_dim + 3u) / 4u, &scores);
        let all = tile_sees(tile, tile + TILE_STREAM);
        form_scores(&scores, all);
        row_update(&scores, &acc, all);
        drop_weights(&scores);
        accumulate(V, &scores, &acc);
    }
    if suspends() {
        suspend(words, &acc);
        row_suspend(words + ACCUMULATORS * 4u);
        return;
    }
    row_end(&acc);
    store_rows(&acc);
}
