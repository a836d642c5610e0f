// Slot store: y, with any count of columns.
@group(0) @binding(4) var<storage, read_write> y: array<Elem>;   // [rows, cols]

fn store(row: u32, col: u32, value: vec4<f32>) {
    let at = row * params.cols + col + params.wide_shift;
    for (var e = 0u; e < 4u; e++) { // unroll
        if col + e < params.cols { y[at + e] = Elem(value[e]); }
    }
}

// Writes columns begin .. end of a row, by `lanes` invocations of which this is number `lane`.
fn write(row: Row, begin: u32, end: u32, lane: u32, lanes: u32, stat: Stat) {
    for (var col = begin + lane * 4u; col < end; col += lanes * 4u) {
        store(row.index, col, value(row, col, stat));   // [4]
    }
}
