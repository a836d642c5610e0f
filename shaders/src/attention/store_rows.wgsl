// The rows of a tile of the forward pass that exist, those beyond the sequence as 0.
fn store_rows(acc: ptr<function, Accumulator>) {
    for (var r = 0u; r < OWN; r++) { // unroll
        let p = own_position(r);
        let is_there = in_sequence(p);
        if (p < row_count()) & ((params.packed_rows == 0u) | is_there) {
            for (var w = 0u; w < WIDTH4; w++) { // unroll
                store_o(at.q_row + p * at.q_step, dim4(w), select(vec4(0.0), (*acc)[r * WIDTH4 + w], is_there), is_there);
            }
            row_store(r, p, is_there);
        }
    }
}
