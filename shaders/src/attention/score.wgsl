// Scores of pairs, for the kernels that form tiles of them.

// Whether queries i .. last_i, all in the sequence, see all keys j .. end_j: both ends of what a query sees grow with the query. Sums over
// pairs rely on it: a position beyond a sequence adds nothing to them.
fn all_seen(i: u32, last_i: u32, j: u32, end_j: u32) -> bool {
    let hides = bias_hides() | hides_pairs(vec2(i, last_i + 1u), vec2(j, end_j), vec2(at.q_head, at.q_head + 1u));
    return (keys_from(last_i) <= j) & (end_j <= keys_to(i)) & (last_i < at.len_q) & !hides;
}

// Score of a pair that is seen, from its capped product. of_key is key_bias(j).
fn score_seen(i: u32, j: u32, capped: f32, of_key: f32) -> f32 {
    return biased(modified(capped, i, j) + at.bias, i, j, of_key);
}

// Score of any pair: HIDDEN if key j is not among those that query i sees.
fn score(i: u32, j: u32, capped: f32, keys: vec2<u32>, of_key: f32) -> f32 {
    return select(HIDDEN, score_seen(i, j, capped, of_key), (j >= keys.x) & (j < keys.y) & !hides_pair(i, j));
}
