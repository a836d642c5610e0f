// Slot io: rows of any width, read one element at a time. Positions beyond a sequence and dims beyond the width read as 0.
@group(0) @binding(3) var<storage, read> q: array<Elem>;
@group(0) @binding(4) var<storage, read> k: array<Elem>;
@group(0) @binding(5) var<storage, read> v: array<Elem>;
@group(0) @binding(6) var<storage, read> d_o: array<Elem>;

// First element of query row i (width elements a row), and of key row j.
fn q_at(i: u32, width: u32) -> u32 { return (at.q_row + min(i, at.len_q - 1u) * at.q_step) * width; }
fn k_at(j: u32, width: u32) -> u32 { return (at.k_row + min(j, at.len_kv - 1u) * at.k_step) * width; }

// Which of the dims 4·d4 .. 4·d4+3 exist, and where they are read (the last one stands in for those that do not).
fn dims(d4: u32) -> vec4<u32> { return vec4(d4 * 4u) + vec4(0u, 1u, 2u, 3u); }

fn load_q(i: u32, d4: u32) -> vec4<f32> {
    let d = dims(d4);
    let e = vec4(q_at(i, params.head_dim) + params.q_shift) + min(d, vec4(params.head_dim - 1u));
    let row = vec4<f32>(f32(q[e.x]), f32(q[e.y]), f32(q[e.z]), f32(q[e.w]));
    return select(vec4(0.0), row, (d < vec4(params.head_dim)) & vec4(i < at.len_q));
}
fn load_k(j: u32, d4: u32) -> vec4<f32> {
    let d = dims(d4);
    let e = vec4(k_at(j, params.head_dim) + params.k_shift) + min(d, vec4(params.head_dim - 1u));
    let row = vec4<f32>(f32(k[e.x]), f32(k[e.y]), f32(k[e.z]), f32(k[e.w]));
    return select(vec4(0.0), row, (d < vec4(params.head_dim)) & vec4(j < at.len_kv));
}
fn load_v(j: u32, d4: u32) -> vec4<f32> {
    let d = dims(d4);
    let e = vec4(k_at(j, params.val_dim) + params.v_shift) + min(d, vec4(params.val_dim - 1u));
    let row = vec4<f32>(f32(v[e.x]), f32(v[e.y]), f32(v[e.z]), f32(v[e.w]));
    return select(vec4(0.0), row, (d < vec4(params.val_dim)) & vec4(j < at.len_kv));
}
fn load_d_o(i: u32, d4: u32) -> vec4<f32> {
    let d = dims(d4);
    let e = vec4(q_at(i, params.val_dim) + params.o_shift) + min(d, vec4(params.val_dim - 1u));
    let row = vec4<f32>(f32(d_o[e.x]), f32(d_o[e.y]), f32(d_o[e.z]), f32(d_o[e.w]));
    return select(vec4(0.0), row, (d < vec4(params.val_dim)) & vec4(i < at.len_q));
}
