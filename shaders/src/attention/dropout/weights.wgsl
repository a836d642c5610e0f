// Weights of a tile of the forward pass after dropout, in place. What rows sum is what they were before.
fn drop_weights(scores: ptr<function, Scores>) {
    for (var r = 0u; r < OWN; r++) { // unroll
        enter_head_of(own_position(r));
        let row = dropout_row(query_of(own_position(r)));
        for (var c = 0u; c < STREAM4; c++) { // unroll
            for (var e = 0u; e < 4u; e++) { // unroll
                (*scores)[r * STREAM4 + c][e] = dropped((*scores)[r * STREAM4 + c][e], row, stream_position(c * 4u + e));
            }
        }
    }
}
