// Slot feature: φ(x) = elu(x) + 1 = exp(x) below 0, x + 1 from there on. A NaN stays one, of slope 0.
fn feature(x: f32) -> f32 {
    let above = select(x + 1.0, x, is_not_finite(bitcast<u32>(x)));
    return select(above, exp(max(x, LOWEST_EXPONENT)), is_negative(x));
}
fn feature_slope(x: f32) -> f32 {
    let above = select(1.0, 0.0, (bitcast<u32>(x) & 0x7fffffffu) > POS_INF_BITS);
    return select(above, exp(max(x, LOWEST_EXPONENT)), is_negative(x));
}
// e to the power of which is 0
const LOWEST_EXPONENT: f32 = -200.0;
