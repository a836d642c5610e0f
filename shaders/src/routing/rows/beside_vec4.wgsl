// Slot rows_beside: rows that are read, of a multiple of 4 elements.
@group(0) @binding(3) var<storage, read> rows_beside: array<vec4<Elem>>;   // [·, cols / 4]

fn beside4(row: u32, quad: u32) -> vec4<f32> { return vec4<f32>(rows_beside[row * params.quads + quad]); }
