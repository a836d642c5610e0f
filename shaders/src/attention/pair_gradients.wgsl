// Gradients of the scores of a tile, for the kernels that sum them where they lie.

// total ← total + dz of the pairs at own_first and stream_first        [TILE_OWN, TILE_STREAM]
fn add_gradients(total: ptr<function, Scores>) {
    var scores: Scores;
    var d_scores: Scores;
    product(Q, K, (params.head_dim + 3u) / 4u, &scores);
    product(D_O, V, (params.val_dim + 3u) / 4u, &d_scores);
    var of_keys: array<f32, STREAM>;                                // [STREAM]
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
                (*total)[r * STREAM4 + c][e] += select(dz, 0.0, is_hidden(z));
            }
        }
    }
}
