// Slot function: d_x = scale·softmax(s)·d_y, s = scale·x; 0 where there is no weight. A d_y that is not finite gives NaN where there is.
// After conclude, sum is d_y / Σ.
@group(0) @binding(3) var<storage, read> d_y: array<u32>;   // [rows], bits of f32

fn conclude(row: Row, stat: Stat) -> Stat {
    let upstream = vec4(bitcast<f32>(d_y[row.index + params.narrow_shift]));
    let marks = stat.marks | select(0u, BAD_GRADIENT, is_not_finite(upstream).x);
    return Stat(stat.top, select(upstream.x / max(stat.sum, 0.5), 0.0, stat.sum == 0.0), marks);
}

fn value(row: Row, col: u32, stat: Stat) -> vec4<f32> {
    let s = logits(row, col);
    let finite = params.scale * (exp_twice(s.half - vec4(stat.top)) * stat.sum);
    let nan = vec4(bitcast<f32>(params.nan));
    let weighed = select(finite, nan, vec4((stat.marks & BAD_GRADIENT) != 0u));
    let counts = columns(col) < vec4(row.len);
    return select(select(vec4(0.0), weighed, s.weighs), nan, counts & vec4(is_bad(stat)));
}
