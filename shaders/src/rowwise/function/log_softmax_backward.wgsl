// Slot function: d_x = scale·(d_y − exp(y)·Σ d_y); exp(−infinity) is 0.
fn term(y4: vec4<f32>, d_y4: vec4<f32>) -> vec4<f32> { return d_y4; }

fn slope(y4: vec4<f32>, d_y4: vec4<f32>, sum: f32) -> vec4<f32> {
    let share = select(exp_twice(0.5 * y4), vec4(0.0), is_minus_infinity(y4));
    return params.scale * (d_y4 - share * sum);
}
