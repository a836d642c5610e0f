// Slot rows_out: rows that are written, of any count of elements.
@group(0) @binding(2) var<storage, read_write> rows_out: array<Elem>;   // [·, cols]

fn store4(row: u32, quad: u32, x: vec4<f32>) {
    let col = 4u * quad;
    let at = row * params.cols + col;
    if col < params.cols { rows_out[at] = Elem(x.x); }
    if col + 1u < params.cols { rows_out[at + 1u] = Elem(x.y); }
    if col + 2u < params.cols { rows_out[at + 2u] = Elem(x.z); }
    if col + 3u < params.cols { rows_out[at + 3u] = Elem(x.w); }
}
