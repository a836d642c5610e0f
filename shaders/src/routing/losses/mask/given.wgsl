// Slot mask: a token whose word is 0 is padding.
@group(0) @binding(7) var<storage, read> token_mask: array<u32>;

fn counts_in(token: u32) -> bool { return token_mask[token] != 0u; }
