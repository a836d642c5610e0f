// Slot bias_terms: logits have no bias.
fn store_bias_term(expert: u32, value: f32) {}
