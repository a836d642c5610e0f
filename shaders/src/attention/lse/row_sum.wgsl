// Slot lse: what a row's normaliser is formed from, in the place of lse. Bits, because the row may be NaN.
@group(0) @binding(8) var<storage, read_write> row_sum: array<u32>;

fn store_lse(i: u32, bits: u32) {
    if holds_first_column() { row_sum[at.stat_row + i + params.lse_shift] = bits; }
}
