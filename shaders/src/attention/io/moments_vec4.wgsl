// Slot store_moments: rows of v_mean and of d_r, as those of o and of d_q in io/store_vec4.wgsl. Slot: narrow.
@group(0) @binding(21) var<storage, read_write> v_mean: array<vec4<Elem>>;
@group(0) @binding(22) var<storage, read_write> d_r: array<vec4<Elem>>;

fn store_v_mean(row: u32, d4: u32, value: vec4<f32>) {
    if d4 * 4u < params.val_dim { v_mean[(row * params.val_dim + params.o_shift) / 4u + d4] = narrowed(value); }
}
fn store_d_r(row: u32, d4: u32, value: vec4<f32>) {
    if d4 * 4u < params.head_dim { d_r[(row * params.head_dim + params.q_shift) / 4u + d4] = narrowed(value); }
}
