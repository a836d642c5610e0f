// Slot rows: own positions are the queries of one head.
fn enter_tile(group: u32) {
    let tiles = (params.seq_q + TILE_QUERIES - 1u) / TILE_QUERIES;
    let head = group / tiles;
    enter(head / params.q_heads, head % params.q_heads);
    own_first = (group % tiles) * TILE_QUERIES;
}

fn row_count() -> u32 { return params.seq_q; }
fn query_of(p: u32) -> u32 { return p; }
fn in_sequence(p: u32) -> bool { return p < at.len_q; }
fn enter_head_of(p: u32) {}

// The keys that row p sees: .x ≤ j < .y
fn keys_of_row(p: u32) -> vec2<u32> { return keys_of(p); }

// The queries, and the heads, that rows of the tile are of.
fn queries_of_tile() -> vec2<u32> { return vec2(own_first, min(own_first + TILE_QUERIES, at.len_q)); }
fn heads_of_tile() -> vec2<u32> { return vec2(at.q_head, at.q_head + 1u); }

// The keys that some row of the tile sees: .x ≤ j < .y
fn keys_of_tile() -> vec2<u32> {
    let last_own = min(own_first + TILE_QUERIES, at.len_q);
    return vec2(keys_from(own_first), select(0u, keys_to(max(last_own, 1u) - 1u), own_first < at.len_q));
}

// Whether every row of the tile sees all keys j .. end_j.
fn tile_sees(j: u32, end_j: u32) -> bool { return all_seen(own_first, own_first + TILE_QUERIES - 1u, j, end_j); }
