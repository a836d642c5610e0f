// Slot key: an unsigned number that grows with an element's rank: the middle plus its magnitude, or less it on the other side of 0; so both
// zeros are one, and NaN, 0, ranks lowest. FALLS is the sign of what grows downwards: 1, or 0 if the smallest are wanted.
fn key_at(row: u32, col: u32) -> u32 {
    let bits = bits_at(row * params.cols + col);
    let magnitude = bits & (MIDDLE - 1u);
    let key = select(MIDDLE + magnitude, MIDDLE - magnitude, ((bits & MIDDLE) != 0u) == (FALLS == 1u));
    return select(key, 0u, magnitude > INFINITY_BITS);
}
