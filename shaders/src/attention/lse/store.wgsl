// Slot lse: written by one of the invocations that hold the row. Bits, because WGSL may not hold an infinity.
@group(0) @binding(8) var<storage, read_write> lse: array<u32>;

fn store_lse(i: u32, bits: u32) {
    if holds_first_column() { lse[at.stat_row + i + params.lse_shift] = bits; }
}
