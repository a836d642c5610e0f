// Slot sums: per query Σ_j dz and Σ_j |i + off - j|·dz, for the gradients of bias, head bias and ALiBi slopes.
var<private> pair_sum: array<f32, OWN>;
var<private> distance_sum: array<f32, OWN>;

fn add_pair(r: u32, i: u32, j: u32, dz: f32) {
    pair_sum[r] += dz;
    distance_sum[r] += select(distance(i, j) * dz, 0.0, dz == 0.0);
}
fn store_sums() {
    var pairs: Rows;
    var distances: Rows;
    for (var r = 0u; r < OWN; r++) { // unroll
        pairs[r / 4u][r % 4u] = pair_sum[r];
        distances[r / 4u][r % 4u] = distance_sum[r];
    }
    rows_sum(&pairs);
    rows_sum(&distances);
    for (var r = 0u; r < OWN; r++) { // unroll
        let i = own_position(r);
        if holds_first_column() & (i < params.seq_q) & ((params.packed_rows == 0u) | (i < at.len_q)) {
            let word = params.row_sums_at + (at.stat_row + i) * 2u;
            side[word] = bitcast<u32>(pairs[r / 4u][r % 4u]);
            side[word + 1u] = bitcast<u32>(distances[r / 4u][r % 4u]);
        }
    }
}
const SUM_STATE: u32 = 2u;
fn suspend_sums(word: u32) {
    for (var r = 0u; r < OWN; r++) { // unroll
        side[word + r * 2u] = bitcast<u32>(pair_sum[r]);
        side[word + r * 2u + 1u] = bitcast<u32>(distance_sum[r]);
    }
}
fn resume_sums(word: u32) {
    for (var r = 0u; r < OWN; r++) { // unroll
        pair_sum[r] = side_f32(word + r * 2u);
        distance_sum[r] = side_f32(word + r * 2u + 1u);
    }
}
