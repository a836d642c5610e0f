// Part: a dim of a row, or four where the width allows it; Bits, Flags: the same of its bits, and of what is known of it.

fn part_is_lost(p: Part) -> Flags { return (bitcast<Bits>(p) & Bits(0x7f800000u)) == Bits(0x7f800000u); }

// As the functions of row_map/scaled.wgsl.
fn part_saturated(value: Part, made_from: Part) -> Part {
    let largest = bitcast<f32>(LARGEST_BITS);
    return select(clamp(value, Part(-largest), Part(largest)), value, part_is_lost(made_from));
}
fn part_scaled(f: f32, value: Part) -> Part {
    let bits = bitcast<Bits>(value);
    let turned = bitcast<Part>(select(bits ^ Bits(bitcast<u32>(f) & 0x80000000u), Bits(NAN_BITS), f == 0.0));
    return select(f * value, turned, part_is_lost(value));
}
fn part_or_nan(value: Part, is_broken: Flags) -> Part {
    return bitcast<Part>(select(bitcast<Bits>(value), Bits(NAN_BITS), is_broken));
}
