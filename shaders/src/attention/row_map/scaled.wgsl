// Linked to every map of rows.

// A result as it is stored: saturated, unless what it is made of is not finite either.
fn saturated(value: f32, made_from: f32) -> f32 {
    let largest = bitcast<f32>(LARGEST_BITS);
    return select(clamp(value, -largest, largest), value, is_not_finite(bitcast<u32>(made_from)));
}

// A number times a factor: not lost where it is an infinity.
fn scaled(f: f32, value: f32) -> f32 {
    let bits = bitcast<u32>(value);
    let turned = bitcast<f32>(select(bits ^ (bitcast<u32>(f) & 0x80000000u), NAN_BITS, f == 0.0));
    return select(f * value, turned, is_not_finite(bits));
}
