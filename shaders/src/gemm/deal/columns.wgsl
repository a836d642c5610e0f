// Slot deal: a stored as [k, m]. Of LANES rows a lane holds one term of four neighbours.
fn deal_place(first: u32) -> u32 {
    return at.a + min(first + lane / 4u * 4u, params.m_to - 1u) / UNIT + lane % 4u * params.a_row;
}
fn dealt(place: u32, depth: u32, end: u32) -> vec4<f32> {
    return select(vec4(0.0), load_a(min(place + depth * params.a_row, params.a_last)), depth + lane % 4u < end);
}
// Term e of row r of LANES, for every lane.
fn hand(quad: vec4<f32>, r: u32, e: u32) -> f32 { return subgroupShuffle(quad[r % 4u], r / 4u * 4u + e); }
