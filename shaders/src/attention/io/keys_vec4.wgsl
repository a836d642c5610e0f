// Slot load_keys: rows of keys and values whose widths are multiples of 4, read as vec4. A row is known by its first vec4. Positions beyond a
// sequence stand for its last row, dims beyond the width for the last four.
@group(0) @binding(4) var<storage, read> k: array<vec4<Elem>>;
@group(0) @binding(5) var<storage, read> v: array<vec4<Elem>>;

fn last_k(j: u32) -> u32 { return min(j, max(at.len_kv, 1u) - 1u); }

fn k_row(j: u32) -> u32 { return (key_row(last_k(j)) * params.head_dim + params.k_shift) / 4u; }
fn v_row(j: u32) -> u32 { return (key_row(last_k(j)) * params.val_dim + params.v_shift) / 4u; }

// From a row to the next of its sequence.
fn k_next() -> u32 { return at.k_step * (params.head_dim / 4u); }
fn v_next() -> u32 { return at.k_step * (params.val_dim / 4u); }

// Dims 4·d4 .. of the row that begins `skip` after `row`.
fn k4(row: u32, skip: u32, d4: u32) -> vec4<f32> { return vec4<f32>(k[row + min(d4, params.head_dim / 4u - 1u) + skip]); }
fn v4(row: u32, skip: u32, d4: u32) -> vec4<f32> { return vec4<f32>(v[row + min(d4, params.val_dim / 4u - 1u) + skip]); }
