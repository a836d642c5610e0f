// Slot load_keys: rows of int8, four dims a word, the first lowest, times the row's scale (slot scale). A row is known by its number, so that
// what is read says which scale goes with it. Positions beyond a sequence stand for its last row, words beyond the width for the last one; what
// its bytes beyond the width hold meets a 0 of q, or dims that are not stored.
@group(0) @binding(4) var<storage, read> k: array<u32>;
@group(0) @binding(5) var<storage, read> v: array<u32>;

fn last_k(j: u32) -> u32 { return min(j, max(at.len_kv, 1u) - 1u); }

fn k_row(j: u32) -> u32 { return key_row(last_k(j)); }
fn v_row(j: u32) -> u32 { return key_row(last_k(j)); }

// From a row to the next of its sequence.
fn k_next() -> u32 { return at.k_step; }
fn v_next() -> u32 { return at.k_step; }

// The four bytes of a word with their signs.
fn signed4(word: u32) -> vec4<f32> {
    return vec4<f32>(bitcast<vec4<i32>>(vec4(word) << vec4(24u, 16u, 8u, 0u)) >> vec4(24u));
}

// Dims 4·d4 .. of the row `skip` rows after `row`.
fn k4(row: u32, skip: u32, d4: u32) -> vec4<f32> {
    let words = (params.head_dim + 3u) / 4u;
    let word = k[(row + skip) * words + min(d4, words - 1u) + params.k_shift];
    return signed4(word) * bitcast<f32>(k_scale_bits(row + skip));
}
fn v4(row: u32, skip: u32, d4: u32) -> vec4<f32> {
    let words = (params.val_dim + 3u) / 4u;
    let word = v[(row + skip) * words + min(d4, words - 1u) + params.v_shift];
    return signed4(word) * bitcast<f32>(v_scale_bits(row + skip));
}
