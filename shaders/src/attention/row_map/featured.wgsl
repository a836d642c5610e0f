// What feature maps share: φ(gain · n), and the gradient g · φ'(gain · n).
const POS_INF_BITS: u32 = 0x7f800000u;

fn mapped(gain: f32, n: f32) -> f32 { return feature(scaled(gain, n)); }
fn d_mapped(gain: f32, n: f32, g: f32) -> f32 { return scaled(feature_slope(scaled(gain, n)), g); }

// Whether a number is below 0, by its bits; 0 and NaN are not.
fn is_negative(x: f32) -> bool {
    let bits = bitcast<u32>(x);
    return (bits > 0x80000000u) & (bits <= NEG_INF_BITS);
}
