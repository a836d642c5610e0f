// Slot store: rows of c of any length, written one element at a time.
@group(0) @binding(4) var<storage, read_write> c: array<Elem>;   // [batch, m, n]

fn store_c(row: u32, col: u32, value: vec4<f32>) {
    let first = at.c + row * params.n + col;
    for (var e = 0u; e < 4u; e++) { // unroll
        if col + e < params.n_to { c[first + e] = Elem(value[e]); }
    }
}
