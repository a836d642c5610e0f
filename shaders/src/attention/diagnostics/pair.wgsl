// Scores of pairs one at a time, for kernels that look at weights without forming anything of them. What is not finite counts as 0 in a score;
// whoever asks is told.

// Words that a row keeps in side: what its masses are relative to, their sum, what the entropy is formed of, the largest, whether the row is broken,
// and 1 / sum.
const ROW_WORDS: u32 = 6u;
// Words of a key: sum of weights, count of queries, whether one of them is broken.
const KEY_WORDS: u32 = 3u;

struct Pair {
    z: f32,         // HIDDEN if the query does not see the key
    seen: bool,
    broken: bool,   // seen, and not finite
}

fn holds_no_number(x: vec4<f32>) -> bool {
    return any((bitcast<vec4<u32>>(x) & vec4(0x7f800000u)) == vec4(0x7f800000u));
}

fn pair_of(i: u32, j: u32) -> Pair {
    let of_query = q_row(i);
    let of_key = k_row(j);
    var sums = vec4(0.0);
    var broken = false;
    for (var d4 = 0u; d4 * 4u < params.head_dim; d4++) {
        let a = q4(of_query, 0u, d4);
        let b = k4(of_key, 0u, d4);
        broken = broken | holds_no_number(a) | holds_no_number(b);
        sums += finite4(a) * finite4(b);
    }
    let capped = cap((sums.x + sums.y + sums.z + sums.w) * params.scale);
    let z = score(i, j, capped, keys_of(i), key_bias(j));
    let seen = !is_hidden(z);
    return Pair(z, seen, seen & broken);
}
