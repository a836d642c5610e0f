// Slot rows_out: rows that are written, of a multiple of 4 elements.
@group(0) @binding(2) var<storage, read_write> rows_out: array<vec4<Elem>>;   // [·, cols / 4]

fn store4(row: u32, quad: u32, x: vec4<f32>) { rows_out[row * params.quads + quad] = vec4<Elem>(x); }
