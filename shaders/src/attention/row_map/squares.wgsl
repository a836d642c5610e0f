// What norms share.
struct Norm {
    mean: f32,
    share: f32,    // what (u - mean) is multiplied by
    broken: bool,  // whether some number of the row is not finite
}
const NORMALIZES: bool = true;
var<private> squares_are_broken: bool;

// Σ (u - mean)²
fn sum_of_squares(row: Row, mean: f32) -> f32 {
    var squares = 0.0;
    squares_are_broken = false;
    for (var d = 0u; d < params.row_width; d++) {
        let u = scaled(first(factor(row, d).x), element(row, d));
        squares_are_broken = squares_are_broken | is_not_finite(bitcast<u32>(element(row, d)));
        squares += (u - mean) * (u - mean);
    }
    return squares;
}
