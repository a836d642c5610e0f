// Slot bias: nothing depends on the position. What is constant per head is in at.bias.
fn bias_hides() -> bool { return false; }
fn key_bias(j: u32) -> f32 { return 0.0; }
fn biased(z: f32, i: u32, j: u32, of_key: f32) -> f32 {
    return clamp(z, LOWEST, LIMIT);
}
