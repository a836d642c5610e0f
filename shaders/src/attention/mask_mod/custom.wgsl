// Slot mask_mod: the user's own function hides pairs inside the range that a query sees. It is told places that exist only.
fn hides_pairs(i: vec2<u32>, j: vec2<u32>, heads: vec2<u32>) -> bool { return true; }
fn hides_pair(i: u32, j: u32) -> bool {
    return !mask_mod(at.batch, at.q_head, min(i, params.seq_q - 1u), min(j, params.seq_kv - 1u));
}
fn next_keys(tile: u32, end: u32, i: vec2<u32>, heads: vec2<u32>) -> u32 { return tile; }
fn next_queries(tile: u32, end: u32, j: vec2<u32>) -> u32 { return tile; }
