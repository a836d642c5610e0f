// Slot store_moments: rows of v_mean and of d_r, as those of o and of d_q in io/store_scalar.wgsl. Slot: narrow.
@group(0) @binding(21) var<storage, read_write> v_mean: array<Elem>;
@group(0) @binding(22) var<storage, read_write> d_r: array<Elem>;

fn store_v_mean(row: u32, d4: u32, value: vec4<f32>) {
    for (var e = 0u; e < 4u; e++) { // unroll
        let d = d4 * 4u + e;
        if d < params.val_dim { v_mean[row * params.val_dim + d + params.o_shift] = narrowed(value)[e]; }
    }
}
fn store_d_r(row: u32, d4: u32, value: vec4<f32>) {
    for (var e = 0u; e < 4u; e++) { // unroll
        let d = d4 * 4u + e;
        if d < params.head_dim { d_r[row * params.head_dim + d + params.q_shift] = narrowed(value)[e]; }
    }
}
