// Slot norm: u / max(|u|, eps). eps is squared. A row shorter than that is divided by a constant.
fn norm_of(row: Row) -> Norm {
    let squares = sum_of_squares(row, 0.0);
    return Norm(0.0, inverseSqrt(max(squares, params.eps)), squares_are_broken);
}
fn norm_gradient(n: f32, g: f32, along: f32, sum: f32, norm: Norm) -> f32 {
    let short = norm.share >= inverseSqrt(params.eps);
    return (g - n * select(along, 0.0, short)) * norm.share;
}
