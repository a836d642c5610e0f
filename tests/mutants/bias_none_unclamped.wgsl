// mutant: scores may become infinite
// of: attention/bias/none.wgsl
// Slot bias: nothing depends on the position. What is constant per head is in at.bias.
fn biased(z: f32, i: u32, j: u32) -> f32 {
    return z;
}
