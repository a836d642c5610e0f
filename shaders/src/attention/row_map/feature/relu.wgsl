// Slot feature: φ(x) = max(x, 0), of slope 0 at 0. By bits, so that a NaN stays one.
fn feature(x: f32) -> f32 { return select(x, 0.0, is_negative(x)); }
fn feature_slope(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    return select(0.0, 1.0, (bits > 0u) & (bits <= POS_INF_BITS));
}
