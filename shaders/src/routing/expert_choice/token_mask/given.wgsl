// Slot token_mask: a token counts where its word is not 0; others pad.
@group(0) @binding(3) var<storage, read> token_mask: array<u32>;

fn token_counts(token: u32) -> bool { return token_mask[token] != 0u; }
