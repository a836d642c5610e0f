// Slots source and sink: a row's winners are read, and written back where the sort has put them.
@group(0) @binding(1) var<storage, read_write> select_winners: array<vec2<u32>>;

fn pair_at(row: u32, place: u32) -> vec2<u32> { return select_winners[row * params.size + place]; }
fn store_pair(row: u32, place: u32, pair: vec2<u32>) { select_winners[row * params.size + place] = pair; }
