// Slot mask: a window, and a causal mask.

// First key that query i sees, and one past the last: [len_kv, len_kv) or an empty range if none.
fn keys_from(i: u32) -> u32 {
    return u32(clamp(i32(i) + at.off + params.low_shift, 0, i32(at.len_kv)));
}
fn keys_to(i: u32) -> u32 {
    let high = i32(i) + at.off + params.high_shift + 1;
    let causal = select(high, min(high, i32(i) + 1), params.top_left == 1u);
    return u32(clamp(causal, 0, i32(at.len_kv)));
}

// First query that sees key j, and one past the last.
fn queries_from(j: u32) -> u32 {
    let low = i32(j) - at.off - params.high_shift;
    let causal = select(low, max(low, i32(j)), params.top_left == 1u);
    return u32(clamp(causal, 0, i32(at.len_q)));
}
fn queries_to(j: u32) -> u32 {
    return u32(clamp(i32(j) - at.off - params.low_shift + 1, 0, i32(at.len_q)));
}

// The keys that query i sees: .x ≤ j < .y; empty for a query beyond the sequence.
fn keys_of(i: u32) -> vec2<u32> {
    return select(vec2(0u), vec2(keys_from(i), keys_to(i)), i < at.len_q);
}
