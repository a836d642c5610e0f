// Slot moments: lse and the mean of r·k of a row wait in side, for local_linear/store_moments.wgsl: the tile kernel has no binding left for them.
fn store_numbers(i: u32, lse_bits: u32, mean_bits: u32) {
    if holds_first_column() {
        let word = params.means_at + (at.stat_row + i) * 2u;
        side[word] = lse_bits;
        side[word + 1u] = mean_bits;
    }
}
fn store_mean(row: u32, d4: u32, value: vec4<f32>) { store_v_mean(row, d4, value); }
