// Slot io: rows whose widths are multiples of 4, read as vec4. Positions beyond a sequence read as 0.
@group(0) @binding(3) var<storage, read> q: array<vec4<Elem>>;
@group(0) @binding(4) var<storage, read> k: array<vec4<Elem>>;
@group(0) @binding(5) var<storage, read> v: array<vec4<Elem>>;
@group(0) @binding(6) var<storage, read> d_o: array<vec4<Elem>>;

// First element of query row i (width elements a row), and of key row j.
fn q_at(i: u32, width: u32) -> u32 { return (at.q_row + min(i, at.len_q - 1u) * at.q_step) * width; }
fn k_at(j: u32, width: u32) -> u32 { return (at.k_row + min(j, at.len_kv - 1u) * at.k_step) * width; }

fn load_q(i: u32, d4: u32) -> vec4<f32> {
    let inside = (i < at.len_q) & (d4 * 4u < params.head_dim);
    return select(vec4(0.0), vec4<f32>(q[(q_at(i, params.head_dim) + params.q_shift) / 4u + min(d4, params.head_dim / 4u - 1u)]), inside);
}
fn load_k(j: u32, d4: u32) -> vec4<f32> {
    let inside = (j < at.len_kv) & (d4 * 4u < params.head_dim);
    return select(vec4(0.0), vec4<f32>(k[(k_at(j, params.head_dim) + params.k_shift) / 4u + min(d4, params.head_dim / 4u - 1u)]), inside);
}
fn load_v(j: u32, d4: u32) -> vec4<f32> {
    let inside = (j < at.len_kv) & (d4 * 4u < params.val_dim);
    return select(vec4(0.0), vec4<f32>(v[(k_at(j, params.val_dim) + params.v_shift) / 4u + min(d4, params.val_dim / 4u - 1u)]), inside);
}
fn load_d_o(i: u32, d4: u32) -> vec4<f32> {
    let inside = (i < at.len_q) & (d4 * 4u < params.val_dim);
    return select(vec4(0.0), vec4<f32>(d_o[(q_at(i, params.val_dim) + params.o_shift) / 4u + min(d4, params.val_dim / 4u - 1u)]), inside);
}
