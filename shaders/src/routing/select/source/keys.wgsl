// Slot source: the pair of a column is its key, and where it stands. Slot: key.
fn pair_at(row: u32, place: u32) -> vec2<u32> { return vec2(key_at(row, place), place); }
