// The tile loops' part of slot mask_mod, beside listed.wgsl: the first tile of the stream from `tile` on that is not wholly hidden. All
// invocations of a workgroup find the same, and are told the first one's.

fn next_keys(tile: u32, end: u32, i: vec2<u32>, heads: vec2<u32>) -> u32 {
    let window = u32(max(i32(i.x) + at.off + params.gap_shift, 0));
    var found = select(tile, max(tile, window / TILE_STREAM * TILE_STREAM), tile >= params.sink_tokens);
    for (; found < end; found += TILE_STREAM) {
        if !hides_all(i, vec2(found, found + TILE_STREAM), heads) { break; }
    }
    workgroupBarrier();
    return max(same_for_all(vec2(found, 0u)).x, tile);
}

fn next_queries(tile: u32, end: u32, j: vec2<u32>) -> u32 {
    // Queries from here on see no key of these but sink tokens.
    let past = u32(max(i32(j.y) - at.off - params.gap_shift, 0));
    var found = select(tile, end, (tile >= past) & (j.x >= params.sink_tokens));
    for (; found < end; found += TILE_STREAM) {
        if !hides_all(vec2(found, found + TILE_STREAM), j, vec2(at.q_head, at.q_head + 1u)) { break; }
    }
    workgroupBarrier();
    return max(same_for_all(vec2(found, 0u)).x, tile);
}
