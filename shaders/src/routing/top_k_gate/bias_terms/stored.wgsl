// Slot bias_terms: a token's part of the bias's gradient.
fn store_bias_term(expert: u32, value: f32) { terms[token * params.stride + expert] = value; }
