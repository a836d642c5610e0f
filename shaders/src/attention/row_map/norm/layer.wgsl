// Slot norm: (u - mean u) / sqrt(var u + eps).
fn norm_of(row: Row) -> Norm {
    var sum = 0.0;
    for (var d = 0u; d < params.row_width; d++) { sum += scaled(first(factor(row, d).x), element(row, d)); }
    let mean = sum / f32(params.row_width);
    let squares = sum_of_squares(row, mean);
    return Norm(mean, inverseSqrt(squares / f32(params.row_width) + params.eps), squares_are_broken);
}
fn norm_gradient(n: f32, g: f32, along: f32, sum: f32, norm: Norm) -> f32 {
    let width = f32(params.row_width);
    return (g - sum / width - n * (along / width)) * norm.share;
}
