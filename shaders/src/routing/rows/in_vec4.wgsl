// Slot rows_in: rows that are read, of a multiple of 4 elements.
@group(0) @binding(1) var<storage, read> rows_in: array<vec4<Elem>>;   // [·, cols / 4]

fn in4(row: u32, quad: u32) -> vec4<f32> { return vec4<f32>(rows_in[row * params.quads + quad]); }
