// Slot store: rows whose widths are multiples of 4, written as vec4. Row numbers are absolute (rows of a tensor), d4 is within the row.
// counts: whether the row is within its sequence. Slots: narrow, finish (of o).
@group(0) @binding(7) var<storage, read_write> o: array<vec4<Elem>>;
@group(0) @binding(9) var<storage, read_write> d_q: array<vec4<Elem>>;
@group(0) @binding(10) var<storage, read_write> d_k: array<vec4<Elem>>;
@group(0) @binding(11) var<storage, read_write> d_v: array<vec4<Elem>>;

fn store_o(row: u32, d4: u32, value: vec4<f32>, counts: bool) {
    if d4 * 4u < params.val_dim {
        o[(row * params.val_dim + params.o_shift) / 4u + d4] = finished(row, d4, narrowed(value), counts);
    }
}
fn store_d_q(row: u32, d4: u32, value: vec4<f32>) {
    if d4 * 4u < params.head_dim { d_q[(row * params.head_dim + params.q_shift) / 4u + d4] = narrowed(value); }
}
fn store_d_k(row: u32, d4: u32, value: vec4<f32>) {
    if d4 * 4u < params.head_dim { d_k[(row * params.head_dim + params.k_shift) / 4u + d4] = narrowed(value); }
}
fn store_d_v(row: u32, d4: u32, value: vec4<f32>) {
    if d4 * 4u < params.val_dim { d_v[(row * params.val_dim + params.v_shift) / 4u + d4] = narrowed(value); }
}
