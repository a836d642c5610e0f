// Slot bias: key bias and ALiBi, either of which may be absent.
fn bias_hides() -> bool { return params.key_bias_at != ABSENT; }
fn key_bias(j: u32) -> f32 { return given_key_bias(j); }
fn biased(z: f32, i: u32, j: u32, of_key: f32) -> f32 {
    let shifted = z - at.slope * distance(i, j) + of_key;
    return select(clamp(shifted, LOWEST, LIMIT), HIDDEN, is_hidden(of_key));
}
