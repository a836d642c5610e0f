// What every row kernel shares: its parameters, a row, and tests of bits. Comparisons of floats do not see a NaN on every driver, and
// compilers may assume that there is no infinity; integers are safe. Stat and its monoid are in slot statistic.

struct Params {
    cols: u32,
    first_row: u32,      // of this dispatch
    end_row: u32,
    group_count: u32,    // workgroups with work; the grid may have more
    segments: u32,       // parts of a row
    written: u32,        // parts of a row that are written
    segment_cols: u32,
    scale: f32,
    half_scale: f32,     // scale / 2, so that no difference of two logits overflows
    wide_shift: u32,     // added to an element's index in [rows, cols], modulo 2^32
    narrow_shift: u32,   // the same in [rows]
    nan: u32,            // bits
    minus_infinity: u32, // bits
}
@group(0) @binding(0) var<uniform> params: Params;

struct Row {
    index: u32,
    len: u32,   // columns that count
}

const BLOCK: u32 = 16u;          // columns that one call of gather takes in: 4 quads
const EXP_FLOOR: f32 = -100.0;   // exp(2·EXP_FLOOR) is 0 in f32
const LARGEST: f32 = 1.5e38;     // of a halved logit; differences stay below 3.0e38
const BAD_VALUE: u32 = 1u;       // marks: the row has a NaN or +infinity
const BAD_GRADIENT: u32 = 2u;    // marks: its upstream gradient has a NaN or an infinity

fn row_at(index: u32) -> Row { return Row(index, min(row_len(index), params.cols)); }
fn columns(col: u32) -> vec4<u32> { return vec4(col) + vec4(0u, 1u, 2u, 3u); }

fn is_nan_or_plus_infinity(x: vec4<f32>) -> vec4<bool> {
    let bits = bitcast<vec4<u32>>(x);
    return ((bits & vec4(0x7fffffffu)) > vec4(0x7f800000u)) | (bits == vec4(0x7f800000u));
}
fn is_minus_infinity(x: vec4<f32>) -> vec4<bool> { return bitcast<vec4<u32>>(x) == vec4(0xff800000u); }
fn is_not_finite(x: vec4<f32>) -> vec4<bool> { return (bitcast<vec4<u32>>(x) & vec4(0x7f800000u)) == vec4(0x7f800000u); }

// exp(2·d): the exponential of a difference of two logits, given halved.
fn exp_twice(d: vec4<f32>) -> vec4<f32> { return exp(2.0 * max(d, vec4(EXP_FLOOR))); }
fn total(x: vec4<f32>) -> f32 { return (x.x + x.y) + (x.z + x.w); }
