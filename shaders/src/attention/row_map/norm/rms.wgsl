// Slot norm: u / sqrt(mean u² + eps).
fn norm_of(row: Row) -> Norm {
    let squares = sum_of_squares(row, 0.0);
    return Norm(0.0, inverseSqrt(squares / f32(params.row_width) + params.eps), squares_are_broken);
}
fn norm_gradient(n: f32, g: f32, along: f32, sum: f32, norm: Norm) -> f32 {
    return (g - n * (along / f32(params.row_width))) * norm.share;
}
