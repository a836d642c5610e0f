// Slot sums: per key Σ_i dz over the query heads of one key/value head, for the gradient of the key bias.
var<private> pair_sum: array<f32, OWN>;

fn add_pair(r: u32, i: u32, j: u32, dz: f32) { pair_sum[r] += dz; }
fn store_sums() {
    var pairs: Rows;
    for (var r = 0u; r < OWN; r++) { // unroll
        pairs[r / 4u][r % 4u] = pair_sum[r];
    }
    rows_sum(&pairs);
    for (var r = 0u; r < OWN; r++) { // unroll
        let j = own_position(r);
        if holds_first_column() & (j < params.seq_kv) & ((params.packed_rows == 0u) | (j < at.len_kv)) {
            side[params.key_sums_at + (at.key_stat + j) * params.kv_heads + at.kv_head] = bitcast<u32>(pairs[r / 4u][r % 4u]);
        }
    }
}
const SUM_STATE: u32 = 1u;
fn suspend_sums(word: u32) {
    for (var r = 0u; r < OWN; r++) { // unroll
        side[word + r] = bitcast<u32>(pair_sum[r]);
    }
}
fn resume_sums(word: u32) {
    for (var r = 0u; r < OWN; r++) { // unroll
        pair_sum[r] = side_f32(word + r);
    }
}
