// Slot store: rows of any width, written one element at a time. Row numbers are absolute (rows of a tensor), d4 is within the row.
// counts: whether the row is within its sequence. Slots: narrow, finish (of o).
@group(0) @binding(7) var<storage, read_write> o: array<Elem>;
@group(0) @binding(9) var<storage, read_write> d_q: array<Elem>;
@group(0) @binding(10) var<storage, read_write> d_k: array<Elem>;
@group(0) @binding(11) var<storage, read_write> d_v: array<Elem>;

fn store_o(row: u32, d4: u32, value: vec4<f32>, counts: bool) {
    let result = finished(row, d4, narrowed(value), counts);
    for (var e = 0u; e < 4u; e++) { // unroll
        let d = d4 * 4u + e;
        if d < params.val_dim { o[row * params.val_dim + d + params.o_shift] = result[e]; }
    }
}
fn store_d_q(row: u32, d4: u32, value: vec4<f32>) {
    for (var e = 0u; e < 4u; e++) { // unroll
        let d = d4 * 4u + e;
        if d < params.head_dim { d_q[row * params.head_dim + d + params.q_shift] = narrowed(value)[e]; }
    }
}
fn store_d_k(row: u32, d4: u32, value: vec4<f32>) {
    for (var e = 0u; e < 4u; e++) { // unroll
        let d = d4 * 4u + e;
        if d < params.head_dim { d_k[row * params.head_dim + d + params.k_shift] = narrowed(value)[e]; }
    }
}
fn store_d_v(row: u32, d4: u32, value: vec4<f32>) {
    for (var e = 0u; e < 4u; e++) { // unroll
        let d = d4 * 4u + e;
        if d < params.val_dim { d_v[row * params.val_dim + d + params.v_shift] = narrowed(value)[e]; }
    }
}
