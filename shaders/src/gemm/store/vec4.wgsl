// Slot store: rows of c are multiples of 4 long.
@group(0) @binding(4) var<storage, read_write> c: array<vec4<Elem>>;   // [batch, m, n / 4]

fn store_c(row: u32, col: u32, value: vec4<f32>) {
    if col < params.n_to { c[(at.c + row * params.n + col) / 4u] = vec4<Elem>(value); }
}
