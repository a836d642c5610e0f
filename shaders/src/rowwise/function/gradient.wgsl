// The sum over a row that the gradients of softmax and log-softmax need. A row of y with a NaN or plus infinity gives NaN, one of nothing
// but minus infinity 0; otherwise an upstream gradient that is not finite gives NaN.
fn gather(row: Row, col: u32, stride: u32) -> Stat {
    var sums = vec4(0.0);
    var bad = vec4(false);
    var bad_gradient = vec4(false);
    var present = vec4(false);
    for (var u = 0u; u < 4u; u++) { // unroll
        let at = col + u * stride;
        let counts = columns(at) < vec4(row.len);
        let y4 = load_y(row.index, at);                                   // [4]
        let d_y4 = load_d_y(row.index, at);                               // [4]
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
