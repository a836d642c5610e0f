// attention backward, re-weighted rows: level_i = offset_i/N_i·Σ_j h_ij, what the mean of its weights takes from the gradient of each.
//
//   for each tile of keys that the queries see:
//       s ← q kᵀ,  dP ← d_o vᵀ          [TILE_OWN, TILE_STREAM]
//       sum, count ← over measured_gradient(z, dropout(dP))
//   level ← offset·sum/count
//
// Owns: the levels of the rows of its tile, 0 for padded rows and for even ones. Slots: access, schedule, weight, dropout, softcap, score_mod, mask_mod,
// bias, finite, load. A workgroup is one tile of TILE_OWN queries of one query head.
var<private> row_sums: array<f32, OWN>;
var<private> row_counts: array<f32, OWN>;

fn add_tile(scores: ptr<function, Scores>, d_scores: ptr<function, Scores>) {
    var of_keys: array<f32, STREAM>;                                // [STREAM]
    for (var c = 0u; c < STREAM; c++) { // unroll
        of_keys[c] = key_bias(stream_position(c));
    }
    for (var r = 0u; r < OWN; r++) { // unroll
        let i = own_position(r);
        let keys = keys_of(i);
        let statistics = measured_statistics(i);
        let drop = dropout_row(i);
        for (var c = 0u; c < STREAM4; c++) { // unroll
            for (var e = 0u; e < 4u; e++) { // unroll
                let capped = cap((*scores)[r * STREAM4 + c][e] * params.scale);
                let j = stream_position(c * 4u + e);
                let z = score(i, j, capped, keys, of_keys[c * 4u + e]);
                let h = measured_gradient(z, dropped((*d_scores)[r * STREAM4 + c][e], drop, j), statistics);
                row_sums[r] += select(h, 0.0, is_hidden(z));
                row_counts[r] += select(1.0, 0.0, is_hidden(z));
            }
        }
    }
}

fn store_levels() {
    var sums: Rows;
    var counts: Rows;
    for (var r = 0u; r < OWN; r++) { // unroll
        sums[r / 4u][r % 4u] = row_sums[r];
        counts[r / 4u][r % 4u] = row_counts[r];
    }
    rows_sum(&sums);
    rows_sum(&counts);
    for (var r = 0u; r < OWN; r++) { // unroll
        let i = own_position(r);
        let in_sequence = i < at.len_q;
        if holds_first_column() & (i < params.seq_q) & ((params.packed_rows == 0u) | in_sequence) {
            let level = offset_of(i) * sums[r / 4u][r % 4u] / max(counts[r / 4u][r % 4u], 1.0);
            let is_level = in_sequence & (kept_measures(i).y > 0.0);
            side[params.levels_at + at.stat_row + i] = bitcast<u32>(select(0.0, level, is_level));
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

    let words = params.state_at + (group * INVOCATIONS + invocation) * STATE_WORDS;
    if params.stream_from > 0u {
        for (var r = 0u; r < OWN; r++) { // unroll
            row_sums[r] = side_f32(words + r * 2u);
            row_counts[r] = side_f32(words + r * 2u + 1u);
        }
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
        add_tile(&scores, &d_scores);
    }
    if params.stream_to < params.seq_kv {
        for (var r = 0u; r < OWN; r++) { // unroll
            side[words + r * 2u] = bitcast<u32>(row_sums[r]);
            side[words + r * 2u + 1u] = bitcast<u32>(row_counts[r]);
        }
        return;
    }
    store_levels();
}
