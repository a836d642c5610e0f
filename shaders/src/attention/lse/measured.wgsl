// Slot lse: what is saved of a re-weighted row. Bits, because the row may be NaN.
@group(0) @binding(8) var<storage, read_write> row_sum: array<u32>;
@group(0) @binding(18) var<storage, read_write> row_mean: array<u32>;
@group(0) @binding(19) var<storage, read_write> row_max: array<u32>;

fn store_lse(i: u32, bits: u32) {
    if holds_first_column() {
        let row = at.stat_row + i + params.lse_shift;
        row_sum[row] = bits;
        row_mean[row] = bits;
        row_max[row] = bits;
    }
}
