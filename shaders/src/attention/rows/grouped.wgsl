// Slot rows: own positions are the queries of all heads that share a key/value head, head by head, as they lie in memory: row p is query
// p % seq_q of the group's head p / seq_q. Keys are then read once for the group. Few queries a head; never packed sequences.
var<private> queries: u32;       // of a head, in the sequence

fn enter_tile(group: u32) {
    let sharers = params.q_heads / params.kv_heads;
    let tiles = (sharers * params.seq_q + TILE_QUERIES - 1u) / TILE_QUERIES;
    let unit = group / tiles;
    enter(unit / params.kv_heads, unit % params.kv_heads * sharers);
    own_first = (group % tiles) * TILE_QUERIES;
    // Rows of the group follow each other like queries of one head.
    queries = at.len_q;
    at.len_q = row_count();
}

fn row_count() -> u32 { return params.q_heads / params.kv_heads * params.seq_q; }
fn query_of(p: u32) -> u32 { return p % params.seq_q; }
fn in_sequence(p: u32) -> bool { return query_of(p) < queries; }
fn enter_head_of(p: u32) { enter_head(at.kv_head * (params.q_heads / params.kv_heads) + min(p, row_count() - 1u) / params.seq_q); }

fn keys_of_row(p: u32) -> vec2<u32> {
    return select(vec2(0u), vec2(keys_from(query_of(p)), keys_to(query_of(p))), in_sequence(p));
}

fn queries_of_tile() -> vec2<u32> { return vec2(0u, max(queries, 1u)); }
fn heads_of_tile() -> vec2<u32> {
    let sharers = params.q_heads / params.kv_heads;
    return vec2(at.kv_head, at.kv_head + 1u) * sharers;
}

// Those that some query sees: a tile may hold the first of one head and the last of another.
fn keys_of_tile() -> vec2<u32> {
    return vec2(keys_from(0u), select(0u, keys_to(max(queries, 1u) - 1u), queries > 0u));
}

// Rows beyond the sequence are computed with the others and not stored.
fn tile_sees(j: u32, end_j: u32) -> bool {
    let hides = bias_hides() | hides_pairs(queries_of_tile(), vec2(j, end_j), heads_of_tile());
    return (keys_from(max(queries, 1u) - 1u) <= j) & (end_j <= keys_to(0u)) & !hides;
}
