// Slot number: all tokens count.
fn valid_tokens() -> f32 { return f32(params.tokens); }
