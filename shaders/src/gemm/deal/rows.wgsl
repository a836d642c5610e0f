// Slot deal: a stored as [m, k]. Of LANES rows a lane holds four terms of one.
fn deal_place(first: u32) -> u32 {
    return at.a + min(first + lane, params.m_to - 1u) * params.a_row;
}
fn dealt(place: u32, depth: u32, end: u32) -> vec4<f32> {
    let inside = vec4(depth) + vec4(0u, 1u, 2u, 3u) < vec4(end);
    return select(vec4(0.0), load_a(min(place + depth / UNIT, params.a_last)), inside);
}
// Term e of row r of LANES, for every lane.
fn hand(quad: vec4<f32>, r: u32, e: u32) -> f32 { return subgroupShuffle(quad[e], r); }
