// Slot rows_in: rows that are read, of any count of elements. Beyond the row its last element stands in.
@group(0) @binding(1) var<storage, read> rows_in: array<Elem>;   // [·, cols]

fn in4(row: u32, quad: u32) -> vec4<f32> {
    let col = min(vec4(4u * quad) + vec4(0u, 1u, 2u, 3u), vec4(params.cols - 1u));
    let at = vec4(row * params.cols) + col;
    return vec4(f32(rows_in[at.x]), f32(rows_in[at.y]), f32(rows_in[at.z]), f32(rows_in[at.w]));
}
