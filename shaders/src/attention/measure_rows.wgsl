// attention forward, first step if weights are re-weighted: the mean and the largest of every row's weights.
//
//   for each tile of keys that the queries see:
//       s ← q kᵀ                        [TILE_OWN, TILE_STREAM]
//       z ← bias(cap(scale·s)), hidden where masked
//       sum, count, largest ← over φ(z)
//   cut, scale ← measures(sum/count, largest)
//
// Owns: the measures of the rows of its tile in side, and row_mean and row_max if they are outputs; 0 for padded rows. Slots: access, schedule,
// rows, phi, softcap, score_mod, mask_mod, bias, measured, finite, load. A workgroup is one tile of TILE_OWN rows, as in forward.wgsl.
var<private> row_sums: array<f32, OWN>;
var<private> row_counts: array<f32, OWN>;   // below 2^24 an invocation
var<private> row_peaks: array<f32, OWN>;

// Every invocation's part, from its scores of the tile.
fn measure(scores: ptr<function, Scores>) {
    for (var r = 0u; r < OWN; r++) { // unroll
        for (var c = 0u; c < STREAM4; c++) { // unroll
            let z = (*scores)[r * STREAM4 + c];
            let hidden = z < vec4(HIDDEN_BELOW);
            let a = select(phi4(select(z, vec4(0.0), hidden)), vec4(0.0), hidden);
            let seen = select(vec4(1.0), vec4(0.0), hidden);
            row_sums[r] += (a.x + a.y) + (a.z + a.w);
            row_counts[r] += (seen.x + seen.y) + (seen.z + seen.w);
            row_peaks[r] = max(row_peaks[r], max(max(a.x, a.y), max(a.z, a.w)));
        }
    }
}

// The rows that exist, from the parts of all invocations that hold them.
fn store_measures() {
    var sums: Rows;
    var counts: Rows;
    var peaks: Rows;
    for (var r = 0u; r < OWN; r++) { // unroll
        sums[r / 4u][r % 4u] = row_sums[r];
        counts[r / 4u][r % 4u] = row_counts[r];
        peaks[r / 4u][r % 4u] = row_peaks[r];
    }
    rows_sum(&sums);
    rows_sum(&counts);
    rows_max(&peaks);
    for (var r = 0u; r < OWN; r++) { // unroll
        let p = own_position(r);
        let is_there = in_sequence(p);
        if holds_first_column() & (p < row_count()) & ((params.packed_rows == 0u) | is_there) {
            let mean = select(0.0, sums[r / 4u][r % 4u] / max(counts[r / 4u][r % 4u], 1.0), is_there);
            let largest = select(0.0, peaks[r / 4u][r % 4u], is_there);
            let found = measures(query_of(p), mean, largest);
            let row = at.stat_row + p;
            side[params.measures_at + 2u * row] = bitcast<u32>(found.x);
            side[params.measures_at + 2u * row + 1u] = bitcast<u32>(found.y);
            store_measured(row + params.lse_shift, mean, largest);
        }
    }
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let group = params.first_group + place;
    take_place(invocation);
    enter_tile(group);

    let words = params.state_at + (group * INVOCATIONS + invocation) * STATE_WORDS;
    if params.stream_from > 0u {
        for (var r = 0u; r < OWN; r++) { // unroll
            row_sums[r] = side_f32(words + r * 3u);
            row_counts[r] = side_f32(words + r * 3u + 1u);
            row_peaks[r] = side_f32(words + r * 3u + 2u);
        }
    }
    let seen = keys_of_tile();
    let range = min(same_for_all(vec2(max(seen.x / TILE_STREAM * TILE_STREAM, params.stream_from), min(seen.y, params.stream_to))), vec2(params.seq_kv));
    let i = queries_of_tile();
    let heads = heads_of_tile();
    for (var tile = next_keys(range.x, range.y, i, heads); tile < range.y; tile = next_keys(tile + TILE_STREAM, range.y, i, heads)) {
        stream_first = tile;
        var scores = Scores();                                         // [OWN, STREAM]
        product(Q, K, (params.head_dim + 3u) / 4u, &scores);
        form_scores(&scores, tile_sees(tile, tile + TILE_STREAM));
        measure(&scores);
    }
    if params.stream_to < params.seq_kv {
        for (var r = 0u; r < OWN; r++) { // unroll
            side[words + r * 3u] = bitcast<u32>(row_sums[r]);
            side[words + r * 3u + 1u] = bitcast<u32>(row_counts[r]);
            side[words + r * 3u + 2u] = bitcast<u32>(row_peaks[r]);
        }
        return;
    }
    store_measures();
}
