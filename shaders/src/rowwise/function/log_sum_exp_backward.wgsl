// Slot function: d_x = scale·exp(s − y)·d_y, s = scale·x; 0 where x is minus infinity and in a row whose y is.
// After conclude, top is y / 2, sum is d_y, and marks say what the row is.
@group(0) @binding(2) var<storage, read> y: array<u32>;     // [rows], bits of f32
@group(0) @binding(3) var<storage, read> d_y: array<u32>;   // [rows], bits of f32

const NO_WEIGHT: u32 = 4u;    // marks: y is minus infinity
const EXP_CEILING: f32 = 44.0; // exp(2·EXP_CEILING) is finite; s − y is above 0 by rounding only

fn conclude(row: Row, stat: Stat) -> Stat {
    let lse = vec4(bitcast<f32>(y[row.index + params.narrow_shift]));
    let d_lse = vec4(bitcast<f32>(d_y[row.index + params.narrow_shift]));
    let marks = select(0u, BAD_VALUE, is_nan_or_plus_infinity(lse).x) | select(0u, BAD_GRADIENT, is_not_finite(d_lse).x)
        | select(0u, NO_WEIGHT, is_minus_infinity(lse).x);
    return Stat(0.5 * lse.x, d_lse.x, marks);
}

fn value(row: Row, col: u32, stat: Stat) -> vec4<f32> {
    let entry = load_x(row.index, col);                                   // [4]
    let half = clamp(entry * params.half_scale, vec4(-LARGEST), vec4(LARGEST));
    let share = exp_twice(min(half - vec4(stat.top), vec4(EXP_CEILING)));
    let finite = params.scale * (share * stat.sum);
    let masked = is_minus_infinity(entry) | vec4((stat.marks & NO_WEIGHT) != 0u);
    let bad = !masked & (is_nan_or_plus_infinity(entry) | vec4((stat.marks & BAD_GRADIENT) != 0u));
    let whole = select(select(finite, vec4(0.0), masked), vec4(bitcast<f32>(params.nan)), bad | vec4((stat.marks & BAD_VALUE) != 0u));
    return select(vec4(0.0), whole, columns(col) < vec4(row.len));
}
