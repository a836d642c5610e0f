// Slot mask_mod: what a query sees is a range of keys.
fn hides_pairs(i: vec2<u32>, j: vec2<u32>, heads: vec2<u32>) -> bool { return false; }
fn hides_pair(i: u32, j: u32) -> bool { return false; }
fn next_keys(tile: u32, end: u32, i: vec2<u32>, heads: vec2<u32>) -> u32 { return tile; }
fn next_queries(tile: u32, end: u32, j: vec2<u32>) -> u32 { return tile; }
