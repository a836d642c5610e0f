// cache append in int8: new rows are written behind those that a cache holds, in place, each element as its quotient by the row's scale.
//
//   s ← scale of the row                        max |x[b, h, t]| / 127, or given
//   cache[b, h, lens[b] + t] ← round(x[b, h, t] / s), at most 127 in magnitude        t < rows_of(b)
//
// Owns: where its word of a row goes, and the row's scale; nothing else of the cache is touched. A word of four dims an invocation, rows side
// by side in a workgroup, none in two. All in integers, so that every device finds the same. Slots: place, count, scale (cache_scale/).
struct Params {
    first: u32,         // invocation of this dispatch, a multiple of INVOCATIONS
    end: u32,
    group_count: u32,
    rows: u32,          // rows of x
    group_rows: u32,    // of a workgroup
    words: u32,         // of a row of the cache
    heads: u32,
    seq: u32,
    dim: u32,
    max_len: u32,
    page: u32,          // rows in a page
    pages: u32,
    table_pages: u32,   // columns of block_table
    inner: u32,         // rows of the inner dimension of x: tokens or heads
    tokens_first: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> cache: array<u32>;
@group(0) @binding(2) var<storage, read> x: array<Elem>;
@group(0) @binding(3) var<storage, read> lens: array<u32>;

const NOWHERE: u32 = 0xffffffffu;
const MAGNITUDE: u32 = 0x7fffffffu;
const INFINITY: u32 = 0x7f800000u;

// Bits of element d of a row of x; 0 beyond the width.
fn element(row: u32, d: u32) -> u32 {
    return select(0u, bitcast<u32>(f32(x[row * params.dim + min(d, params.dim - 1u)])), d < params.dim);
}

// A number above 0 is mantissa · 2^exponent, but for a constant.
fn mantissa(bits: u32) -> u32 { return (bits & 0x7fffffu) | select(0u, 0x800000u, (bits & INFINITY) != 0u); }
fn exponent(bits: u32) -> u32 { return max((bits & INFINITY) >> 23u, 1u); }

// n / d to the nearest integer, of two to the even one.
fn rounded(n: u32, d: u32) -> u32 {
    let low = n / d;
    let twice = 2u * (n - low * d);
    return low + select(0u, 1u, (twice > d) | ((twice == d) & (low % 2u == 1u)));
}

// round(x / s) as a byte, x and s as bits.
fn quotient(of_x: u32, s: u32) -> u32 {
    let lift = i32(exponent(of_x)) - i32(exponent(s));
    // From 2^8 on it is more than 127, below 2^-1 it is less than a half.
    let within = (lift >= -1) & (lift <= 7);
    let n = mantissa(of_x) << select(0u, u32(clamp(lift, 0, 7)), within);
    let d = mantissa(s) << select(0u, 1u, lift < 0);
    let found = select(select(0u, 127u, lift > 7), min(rounded(n, max(d, 1u)), 127u), within);
    let is_number = ((of_x & MAGNITUDE) <= INFINITY) & (exponent(s) < 255u) & (s >= 0x800000u);
    let size = select(0u, found, is_number);
    return select(size, 0u - size, of_x > MAGNITUDE) & 0xffu;
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let local = invocation / params.words;
    let word = invocation % params.words;
    let row = (params.first / INVOCATIONS + group) * params.group_rows + local;
    let there = (local < params.group_rows) & (row < params.rows);
    let of_row = min(row, params.rows - 1u);
    var bits: vec4<u32>;                                            // [4] dims
    for (var e = 0u; e < 4u; e++) { // unroll
        bits[e] = element(of_row, word * 4u + e);
    }
    let batch = of_row / (params.heads * params.seq);
    let within = of_row % (params.heads * params.seq);
    let outer = within / params.inner;
    let inner = within % params.inner;
    let turned = params.tokens_first == 1u;
    let token = select(inner, outer, turned);
    let head = select(outer, inner, turned);
    let scale = row_scale(local, head, bits & vec4(MAGNITUDE));
    // Lengths come from a buffer: what finds no room is not written.
    let position = min(lens[batch], params.max_len) + token;
    if !there | (token >= rows_of(batch)) | (position >= params.max_len) { return; }
    let place = place_of(batch, head, position);
    if place == NOWHERE { return; }
    var packed = 0u;
    for (var e = 0u; e < 4u; e++) { // unroll
        packed |= quotient(bits[e], scale) << (8u * e);
    }
    cache[place * params.words + word] = packed;
    if word == 0u { store_scale(place, scale); }
}
