// Slot mask: a window, a causal mask that leaves a prefix of the keys visible to all, and chunks: a query at position i + off sees the keys of
// its own chunk only. Together still a range of keys, both of whose ends grow with the query.
const FAR: i32 = 0x40000000;

// First position of the chunk that position p is in, and one past its last; none before the first key.
fn chunk_of(p: i32) -> vec2<i32> {
    let size = i32(max(params.chunk, 1u));
    let first = p / size * size;
    return select(select(vec2(first, first + size), vec2(0), p < 0), vec2(-FAR, FAR), params.chunk == 0u);
}

// First key that query i sees, and one past the last: an empty range if none.
fn keys_from(i: u32) -> u32 {
    let p = i32(i) + at.off;
    return u32(clamp(max(p + params.low_shift, chunk_of(p).x), 0, i32(at.len_kv)));
}
fn keys_to(i: u32) -> u32 {
    let p = i32(i) + at.off;
    let last = select(p, i32(i), params.top_left == 1u) + 1;
    let causal = select(FAR, max(last, i32(params.prefix)), (params.top_left | params.bottom_right) == 1u);
    return u32(clamp(min(min(p + params.high_shift + 1, causal), chunk_of(p).y), 0, i32(at.len_kv)));
}

// First query that sees key j, and one past the last.
fn queries_from(j: u32) -> u32 {
    let p = i32(j) - at.off;
    let first = select(select(-FAR, p, params.bottom_right == 1u), i32(j), params.top_left == 1u);
    let causal = select(first, -FAR, j < params.prefix);
    return u32(clamp(max(max(p - params.high_shift, causal), chunk_of(i32(j)).x - at.off), 0, i32(at.len_q)));
}
fn queries_to(j: u32) -> u32 {
    let p = i32(j) - at.off;
    return u32(clamp(min(p - params.low_shift + 1, chunk_of(i32(j)).y - at.off), 0, i32(at.len_q)));
}

// The keys that query i sees: .x ≤ j < .y; empty for a query beyond the sequence.
fn keys_of(i: u32) -> vec2<u32> {
    return select(vec2(0u), vec2(keys_from(i), keys_to(i)), i < at.len_q);
}
