// Slot rows_beside: rows that are read, of any count of elements. Beyond the row there is 0.
@group(0) @binding(3) var<storage, read> rows_beside: array<Elem>;   // [·, cols]

fn beside4(row: u32, quad: u32) -> vec4<f32> {
    let col = vec4(4u * quad) + vec4(0u, 1u, 2u, 3u);
    let at = vec4(row * params.cols) + min(col, vec4(params.cols - 1u));
    let x = vec4(f32(rows_beside[at.x]), f32(rows_beside[at.y]), f32(rows_beside[at.z]), f32(rows_beside[at.w]));
    return select(vec4(0.0), x, col < vec4(params.cols));
}
