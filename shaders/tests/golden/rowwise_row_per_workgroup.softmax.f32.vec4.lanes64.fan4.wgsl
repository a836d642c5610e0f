const LANES: u32 = 64u;
const FAN: u32 = 4u;
alias Elem = f32;

// ---- rowwise/row_per_workgroup.wgsl
// A function of rows: one workgroup a row.
//
//   stat ← merge over blocks of 16 columns, 4 quads LANES apart     (read)
//   stat ← reduce(stat)                                             (fixed tree)
//   row  ← value(column, stat)                                      (read again, write)
//
// Owns: its row of the output. Slots: len, load, store, statistic, function. Consts: LANES, FAN. Shared: LANES · 12 bytes.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let row = row_at(params.first_row + group);
    var stat = empty();
    for (var col = lane * 4u; col < row.len; col += LANES * BLOCK) {
        stat = merge(stat, gather(row, col, LANES * 4u));        // [16]
    }
    stat = reduce(lane, stat);
    write(row, 0u, params.cols, lane, LANES, conclude(row, stat));
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

// ---- common/maximum_sum.wgsl
// Slot statistic: the monoid of the online softmax, (top, sum) with sum relative to exp(2·top); top is a halved logit.
// Milakov & Gimelshein, arXiv 1805.02867. The neutral element has sum 0, so its top never counts.
struct Stat {
    top: f32,
    sum: f32,
    marks: u32,
}

fn empty() -> Stat { return Stat(-LARGEST, 0.0, 0u); }

fn merge(a: Stat, b: Stat) -> Stat {
    let top = max(a.top, b.top);
    let tops = vec2(a.top, b.top);
    let factors = select(exp(2.0 * max(tops - vec2(top), vec2(EXP_FLOOR))), vec2(1.0), tops == vec2(top));
    return Stat(top, a.sum * factors.x + b.sum * factors.y, a.marks | b.marks);
}

// ---- common/reduce.wgsl
// The statistic of all invocations of a workgroup, by a tree of FAN branches in a fixed order. LANES · 12 bytes of workgroup memory.
// Every invocation must call it.
var<workgroup> stats: array<Stat, LANES>;

fn reduce(lane: u32, own: Stat) -> Stat {
    stats[lane] = own;
    workgroupBarrier();
    for (var width = LANES; width > 1u; width = (width + FAN - 1u) / FAN) {
        let next = (width + FAN - 1u) / FAN;
        // Only invocation `lane` touches stats[lane], and the others it reads are not written: one barrier a level.
        if lane < next {
            var merged = stats[lane];
            for (var other = lane + next; other < width; other += next) {
                merged = merge(merged, stats[other]);
            }
            stats[lane] = merged;
        }
        workgroupBarrier();
    }
    return stats[0];
}

// ---- rowwise/len/all.wgsl
// Slot len: all columns of every row count.
fn row_len(row: u32) -> u32 { return params.cols; }

// ---- rowwise/load/x_vec4.wgsl
// Slot load: x, whose rows have a multiple of 4 columns. Beyond the row its last columns stand in.
@group(0) @binding(1) var<storage, read> x: array<vec4<Elem>>;   // [rows, cols / 4]

fn load_x(row: u32, col: u32) -> vec4<f32> {
    return vec4<f32>(x[(row * params.cols + min(col, params.cols - 4u) + params.wide_shift) / 4u]);
}

// ---- rowwise/function/logits.wgsl
// The statistic of the logits s = scale·x of a row: shared by softmax, log-softmax and log-sum-exp. Logits are kept halved.
struct Logits {
    half: vec4<f32>,       // s / 2, clamped to ±LARGEST
    weighs: vec4<bool>,    // counts, and is not minus infinity
    bad: vec4<bool>,       // counts, and is a NaN or plus infinity
}

fn logits(row: Row, col: u32) -> Logits {
    let entry = load_x(row.index, col);                                   // [4]
    let counts = columns(col) < vec4(row.len);
    let half = clamp(entry * params.half_scale, vec4(-LARGEST), vec4(LARGEST));
    return Logits(half, counts & !is_minus_infinity(entry), counts & is_nan_or_plus_infinity(entry));
}

// (max, Σ exp(s − max)) of 16 columns, in quads `stride` columns apart.
fn gather(row: Row, col: u32, stride: u32) -> Stat {
    var quads: array<Logits, 4>;                                          // [4, 4]
    var tops = vec4(-LARGEST);
    var bad = vec4(false);
{
        quads[0u] = logits(row, col + 0u * stride);
        tops = max(tops, select(vec4(-LARGEST), quads[0u].half, quads[0u].weighs));
        bad = bad | quads[0u].bad;
}
{
        quads[1u] = logits(row, col + 1u * stride);
        tops = max(tops, select(vec4(-LARGEST), quads[1u].half, quads[1u].weighs));
        bad = bad | quads[1u].bad;
}
{
        quads[2u] = logits(row, col + 2u * stride);
        tops = max(tops, select(vec4(-LARGEST), quads[2u].half, quads[2u].weighs));
        bad = bad | quads[2u].bad;
}
{
        quads[3u] = logits(row, col + 3u * stride);
        tops = max(tops, select(vec4(-LARGEST), quads[3u].half, quads[3u].weighs));
        bad = bad | quads[3u].bad;
}
    let top = max(max(tops.x, tops.y), max(tops.z, tops.w));
    var sums = vec4(0.0);
{
        sums += select(vec4(0.0), exp_twice(quads[0u].half - vec4(top)), quads[0u].weighs);
}
{
        sums += select(vec4(0.0), exp_twice(quads[1u].half - vec4(top)), quads[1u].weighs);
}
{
        sums += select(vec4(0.0), exp_twice(quads[2u].half - vec4(top)), quads[2u].weighs);
}
{
        sums += select(vec4(0.0), exp_twice(quads[3u].half - vec4(top)), quads[3u].weighs);
}
    return Stat(top, total(sums), select(0u, BAD_VALUE, any(bad)));
}

fn is_bad(stat: Stat) -> bool { return (stat.marks & BAD_VALUE) != 0u; }

// ---- rowwise/function/softmax.wgsl
// Slot function: y = exp(s − max) / Σ. A row without weight gives 0.
// After conclude, sum is the factor 1 / Σ.
fn conclude(row: Row, stat: Stat) -> Stat {
    return Stat(stat.top, select(1.0 / max(stat.sum, 0.5), 0.0, stat.sum == 0.0), stat.marks);
}

fn value(row: Row, col: u32, stat: Stat) -> vec4<f32> {
    let s = logits(row, col);
    let share = select(vec4(0.0), exp_twice(s.half - vec4(stat.top)) * stat.sum, s.weighs);
    let counts = columns(col) < vec4(row.len);
    return select(share, vec4(bitcast<f32>(params.nan)), counts & vec4(is_bad(stat)));
}

// ---- rowwise/store/y_vec4.wgsl
// Slot store: y, whose rows have a multiple of 4 columns.
@group(0) @binding(4) var<storage, read_write> y: array<vec4<Elem>>;   // [rows, cols / 4]

fn store(row: u32, col: u32, value: vec4<f32>) {
    y[(row * params.cols + col + params.wide_shift) / 4u] = vec4<Elem>(value);
}

// Writes columns begin .. end of a row, by `lanes` invocations of which this is number `lane`.
fn write(row: Row, begin: u32, end: u32, lane: u32, lanes: u32, stat: Stat) {
    for (var col = begin + lane * 4u; col < end; col += lanes * 4u) {
        store(row.index, col, value(row, col, stat));   // [4]
    }
}
