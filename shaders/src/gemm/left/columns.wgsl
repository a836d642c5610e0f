// Slot left: a stored as [k, m], quads along the rows of op(a). Rows beyond the last one read as anything: their sums are not stored.
fn left_place(row: u32) -> Place {
    var place: Place;
    for (var e = 0u; e < 4u; e++) { // unroll
        place[e] = at.a + min(row, params.m_to - 1u) / UNIT + e * params.a_row;
    }
    return place;
}
fn left_block(place: Place, depth: u32) -> Block {
    let first = depth * params.a_row;
    return Block(load_a(place[0] + first), load_a(place[1] + first), load_a(place[2] + first), load_a(place[3] + first));
}
// The block of four rows and four terms, .x and .y, that member n of a workgroup brings: neighbours read along a stored row.
fn left_member(n: u32) -> vec2<u32> { return vec2(n % TILE_ROWS4, n / TILE_ROWS4); }
