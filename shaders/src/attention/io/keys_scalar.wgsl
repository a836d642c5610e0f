// Slot load_keys: rows of keys and values of any width, read one element at a time. A row is known by its first element. Positions beyond a
// sequence stand for its last row; dims beyond the width are 0. `dims` is that of io/load_scalar.wgsl.
@group(0) @binding(4) var<storage, read> k: array<Elem>;
@group(0) @binding(5) var<storage, read> v: array<Elem>;

fn last_k(j: u32) -> u32 { return min(j, max(at.len_kv, 1u) - 1u); }

fn k_row(j: u32) -> u32 { return key_row(last_k(j)) * params.head_dim + params.k_shift; }
fn v_row(j: u32) -> u32 { return key_row(last_k(j)) * params.val_dim + params.v_shift; }

// From a row to the next of its sequence.
fn k_next() -> u32 { return at.k_step * params.head_dim; }
fn v_next() -> u32 { return at.k_step * params.val_dim; }

// Dims 4·d4 .. of the row that begins `skip` after `row`.
fn k4(row: u32, skip: u32, d4: u32) -> vec4<f32> {
    let d = dims(d4);
    let e = vec4(row + skip) + min(d, vec4(params.head_dim - 1u));
    return select(vec4(0.0), vec4<f32>(f32(k[e.x]), f32(k[e.y]), f32(k[e.z]), f32(k[e.w])), d < vec4(params.head_dim));
}
fn v4(row: u32, skip: u32, d4: u32) -> vec4<f32> {
    let d = dims(d4);
    let e = vec4(row + skip) + min(d, vec4(params.val_dim - 1u));
    return select(vec4(0.0), vec4<f32>(f32(v[e.x]), f32(v[e.y]), f32(v[e.z]), f32(v[e.w])), d < vec4(params.val_dim));
}
