// tanh to 4 ULP. WGSL's is good to 1e-5 only and may be NaN beyond 44, so: a series below 1/4, else by exp(-2|x|) ≤ 1.
fn tanh_of(argument: f32) -> f32 {
    let x = clamp(argument, -20.0, 20.0);
    let y = x * x;
    let small = x * (1.0 + y * (-0.33333334 + y * (0.13333334 + y * (-0.053968254 + y * (0.021869488 - y * 0.008863236)))));
    let t = exp(-2.0 * abs(x));
    let large = sign(x) * (1.0 - t) / (1.0 + t);
    return select(large, small, abs(x) < 0.25);
}
