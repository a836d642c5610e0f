// Experts without a bias.
fn bias(at: u32) -> f32 { return 0.0; }
