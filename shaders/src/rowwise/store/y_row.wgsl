// Slot store: one number a row, as bits, because WGSL may not hold an infinity. The first invocation of the first segment writes it.
@group(0) @binding(4) var<storage, read_write> y: array<u32>;   // [rows]

fn write(row: Row, begin: u32, end: u32, lane: u32, lanes: u32, stat: Stat) {
    if begin + lane == 0u { y[row.index + params.narrow_shift] = value_bits(stat); }
}
