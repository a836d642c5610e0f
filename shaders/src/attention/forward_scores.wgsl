// The scores of a tile of the forward pass: QUERIES own rows are queries, keys stream.

// Products → scores z, in place; seen: no pair of the tile is hidden.
fn form_scores(scores: ptr<function, Scores>, seen: bool) {
    var of_keys: array<f32, STREAM>;                                // [STREAM]
    for (var c = 0u; c < STREAM; c++) { // unroll
        of_keys[c] = key_bias(stream_position(c));
    }
    if seen {
        for (var r = 0u; r < QUERIES; r++) { // unroll
            let i = query_of(own_position(r));
            enter_head_of(own_position(r));
            for (var c = 0u; c < STREAM4; c++) { // unroll
                for (var e = 0u; e < 4u; e++) { // unroll
                    let capped = cap((*scores)[r * STREAM4 + c][e] * params.scale);
                    (*scores)[r * STREAM4 + c][e] = score_seen(i, stream_position(c * 4u + e), capped, of_keys[c * 4u + e]);
                }
            }
        }
    } else {
        for (var r = 0u; r < QUERIES; r++) { // unroll
            let i = query_of(own_position(r));
            let keys = keys_of_row(own_position(r));
            enter_head_of(own_position(r));
            for (var c = 0u; c < STREAM4; c++) { // unroll
                for (var e = 0u; e < 4u; e++) { // unroll
                    let capped = cap((*scores)[r * STREAM4 + c][e] * params.scale);
                    (*scores)[r * STREAM4 + c][e] = score(i, stream_position(c * 4u + e), capped, keys, of_keys[c * 4u + e]);
                }
            }
        }
    }
}
