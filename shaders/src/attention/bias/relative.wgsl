// Slot bias: a table by relative position [q_heads, 2·reach + 1], beside key bias and ALiBi, either of which may be absent.
fn bias_hides() -> bool { return params.key_bias_at != ABSENT; }
fn key_bias(j: u32) -> f32 { return given_key_bias(j); }
fn biased(z: f32, i: u32, j: u32, of_key: f32) -> f32 {
    let position = clamp(i32(j) - i32(i) - at.off, -params.reach, params.reach) + params.reach;
    let of_pair = side_f32(params.relative_at + at.q_head * u32(2 * params.reach + 1) + u32(position));
    let shifted = z - at.slope * distance(i, j) + of_pair + of_key;
    return select(clamp(shifted, LOWEST, LIMIT), HIDDEN, is_hidden(of_key));
}
