// The rows of a tile of local-linear attention that exist, those beyond the sequence as 0: o of its queries, the means of values in the rows of slopes.
fn store_rows(acc: ptr<function, Accumulator>) {
    for (var r = 0u; r < QUERIES; r++) { // unroll
        let p = own_position(r);
        let is_there = in_sequence(p);
        if (p < row_count()) & ((params.packed_rows == 0u) | is_there) {
            let row = at.q_row + p * at.q_step;
            for (var w = 0u; w < WIDTH4; w++) { // unroll
                store_o(row, dim4(w), select(vec4(0.0), (*acc)[r * WIDTH4 + w], is_there), is_there);
                store_mean(row, dim4(w), select(vec4(0.0), (*acc)[(r + QUERIES) * WIDTH4 + w], is_there));
            }
            row_store(r, p, is_there);
        }
    }
}
