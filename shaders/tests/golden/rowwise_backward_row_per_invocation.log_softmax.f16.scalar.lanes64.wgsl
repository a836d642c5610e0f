enable f16;
const LANES: u32 = 64u;
alias Elem = f16;

// ---- rowwise/row_per_invocation.wgsl
// A function of short rows: one invocation a row, no workgroup memory, no barrier.
//
//   stat ← merge over blocks of 16 columns     (read)
//   row  ← value(column, stat)                 (read again, write)
//
// Owns: its row of the output. Slots: len, load, store, statistic, function. Consts: LANES rows a workgroup.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let index = params.first_row + group * LANES + lane;
    if index >= params.end_row { return; }
    let row = row_at(index);
    var stat = empty();
    for (var col = 0u; col < row.len; col += BLOCK) {
        stat = merge(stat, gather(row, col, 4u));                // [16]
    }
    write(row, 0u, params.cols, 0u, 1u, conclude(row, stat));
}

// ---- rowwise/shape.wgsl
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

// ---- common/sum.wgsl
// Slot statistic: a plain sum; top is 1 once there has been an entry that is not minus infinity.
struct Stat {
    top: f32,
    sum: f32,
    marks: u32,
}

fn empty() -> Stat { return Stat(0.0, 0.0, 0u); }
fn merge(a: Stat, b: Stat) -> Stat { return Stat(max(a.top, b.top), a.sum + b.sum, a.marks | b.marks); }

// ---- rowwise/len/all.wgsl
// Slot len: all columns of every row count.
fn row_len(row: u32) -> u32 { return params.cols; }

// ---- rowwise/load/y_scalar.wgsl
// Slot load: y and d_y, with any count of columns. Beyond the row its last column stands in.
@group(0) @binding(2) var<storage, read> y: array<Elem>;     // [rows, cols]
@group(0) @binding(3) var<storage, read> d_y: array<Elem>;   // [rows, cols]

fn elements(row: u32, col: u32) -> vec4<u32> {
    return vec4(row * params.cols + params.wide_shift) + min(columns(col), vec4(params.cols - 1u));
}
fn load_y(row: u32, col: u32) -> vec4<f32> {
    let at = elements(row, col);
    return vec4(f32(y[at.x]), f32(y[at.y]), f32(y[at.z]), f32(y[at.w]));
}
fn load_d_y(row: u32, col: u32) -> vec4<f32> {
    let at = elements(row, col);
    return vec4(f32(d_y[at.x]), f32(d_y[at.y]), f32(d_y[at.z]), f32(d_y[at.w]));
}

// ---- rowwise/function/gradient.wgsl
// The sum over a row that the gradients of softmax and log-softmax need. A row of y with a NaN or plus infinity gives NaN, one of nothing
// but minus infinity 0; otherwise an upstream gradient that is not finite gives NaN.
fn gather(row: Row, col: u32, stride: u32) -> Stat {
    var sums = vec4(0.0);
    var bad = vec4(false);
    var bad_gradient = vec4(false);
    var present = vec4(false);
{
        let at = col + 0u * stride;
        let counts = columns(at) < vec4(row.len);
        let y4 = load_y(row.index, at);
        let d_y4 = load_d_y(row.index, at);
        sums += select(vec4(0.0), term(y4, d_y4), counts);
        bad = bad | (counts & is_nan_or_plus_infinity(y4));
        bad_gradient = bad_gradient | (counts & is_not_finite(d_y4));
        present = present | (counts & !is_minus_infinity(y4));
}
{
        let at = col + 1u * stride;
        let counts = columns(at) < vec4(row.len);
        let y4 = load_y(row.index, at);
        let d_y4 = load_d_y(row.index, at);
        sums += select(vec4(0.0), term(y4, d_y4), counts);
        bad = bad | (counts & is_nan_or_plus_infinity(y4));
        bad_gradient = bad_gradient | (counts & is_not_finite(d_y4));
        present = present | (counts & !is_minus_infinity(y4));
}
{
        let at = col + 2u * stride;
        let counts = columns(at) < vec4(row.len);
        let y4 = load_y(row.index, at);
        let d_y4 = load_d_y(row.index, at);
        sums += select(vec4(0.0), term(y4, d_y4), counts);
        bad = bad | (counts & is_nan_or_plus_infinity(y4));
        bad_gradient = bad_gradient | (counts & is_not_finite(d_y4));
        present = present | (counts & !is_minus_infinity(y4));
}
{
        let at = col + 3u * stride;
        let counts = columns(at) < vec4(row.len);
        let y4 = load_y(row.index, at);
        let d_y4 = load_d_y(row.index, at);
        sums += select(vec4(0.0), term(y4, d_y4), counts);
        bad = bad | (counts & is_nan_or_plus_infinity(y4));
        bad_gradient = bad_gradient | (counts & is_not_finite(d_y4));
        present = present | (counts & !is_minus_infinity(y4));
}
    let marks = select(0u, BAD_VALUE, any(bad)) | select(0u, BAD_GRADIENT, any(bad_gradient));
    return Stat(select(0.0, 1.0, any(present)), total(sums), marks);
}

fn conclude(row: Row, stat: Stat) -> Stat { return stat; }

fn value(row: Row, col: u32, stat: Stat) -> vec4<f32> {
    let finite = slope(load_y(row.index, col), load_d_y(row.index, col), stat.sum);
    let whole = select(finite, vec4(0.0), stat.top == 0.0);
    let bad = ((stat.marks & BAD_VALUE) != 0u) | (((stat.marks & BAD_GRADIENT) != 0u) & (stat.top != 0.0));
    let counts = columns(col) < vec4(row.len);
    return select(vec4(0.0), select(whole, vec4(bitcast<f32>(params.nan)), bad), counts);
}

// ---- rowwise/function/log_softmax_backward.wgsl
// Slot function: d_x = scale·(d_y − exp(y)·Σ d_y); exp(−infinity) is 0.
fn term(y4: vec4<f32>, d_y4: vec4<f32>) -> vec4<f32> { return d_y4; }

fn slope(y4: vec4<f32>, d_y4: vec4<f32>, sum: f32) -> vec4<f32> {
    let share = select(exp_twice(0.5 * y4), vec4(0.0), is_minus_infinity(y4));
    return params.scale * (d_y4 - share * sum);
}

// ---- rowwise/store/d_x_scalar.wgsl
// Slot store: d_x, with any count of columns.
@group(0) @binding(4) var<storage, read_write> d_x: array<Elem>;   // [rows, cols]

fn store(row: u32, col: u32, value: vec4<f32>) {
    let at = row * params.cols + col + params.wide_shift;
{
        if col + 0u < params.cols { d_x[at + 0u] = Elem(value[0u]); }
}
{
        if col + 1u < params.cols { d_x[at + 1u] = Elem(value[1u]); }
}
{
        if col + 2u < params.cols { d_x[at + 2u] = Elem(value[2u]); }
}
{
        if col + 3u < params.cols { d_x[at + 3u] = Elem(value[3u]); }
}
}

// Writes columns begin .. end of a row, by `lanes` invocations of which this is number `lane`.
fn write(row: Row, begin: u32, end: u32, lane: u32, lanes: u32, stat: Stat) {
    for (var col = begin + lane * 4u; col < end; col += lanes * 4u) {
        store(row.index, col, value(row, col, stat));   // [4]
    }
}

