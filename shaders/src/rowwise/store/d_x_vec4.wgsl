// Slot store: d_x, whose rows have a multiple of 4 columns.
@group(0) @binding(4) var<storage, read_write> d_x: array<vec4<Elem>>;   // [rows, cols / 4]

fn store(row: u32, col: u32, value: vec4<f32>) {
    d_x[(row * params.cols + col + params.wide_shift) / 4u] = vec4<Elem>(value);
}

// Writes columns begin .. end of a row, by `lanes` invocations of which this is number `lane`.
fn write(row: Row, begin: u32, end: u32, lane: u32, lanes: u32, stat: Stat) {
    for (var col = begin + lane * 4u; col < end; col += lanes * 4u) {
        store(row.index, col, value(row, col, stat));   // [4]
    }
}
