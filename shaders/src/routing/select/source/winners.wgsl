// Slot source: the pairs that were taken of a row.
@group(0) @binding(1) var<storage, read> select_winners: array<vec2<u32>>;

fn pair_at(row: u32, place: u32) -> vec2<u32> { return select_winners[row * params.size + place]; }
