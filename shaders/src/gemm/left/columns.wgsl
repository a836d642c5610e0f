// Slot left: a stored as [k, m], quads along the rows. Rows beyond the last one read as anything: their sums are not stored.

// Where four rows from `row` and four terms from `depth` of a step lie.
fn left_place(row: u32, depth: u32) -> Place {
    var place: Place;
    for (var e = 0u; e < 4u; e++) { // unroll
        place[e] = at.a + min(row, params.m_to - 1u) / UNIT + (depth + e) * params.a_row;
    }
    return place;
}
// Of the step that begins at term `first`, all of whose terms there are.
fn left_block(place: Place, first: u32) -> Block {
    let step = first * params.a_row;
    return Block(load_a(place[0] + step), load_a(place[1] + step), load_a(place[2] + step), load_a(place[3] + step));
}
// Of a step that may go beyond the last term, the one before `end`.
fn left_part(place: Place, first: u32, depth: u32, end: u32) -> Block {
    let step = first * params.a_row;
    let read = Block(load_a(min(place[0] + step, params.a_last)), load_a(min(place[1] + step, params.a_last)), load_a(min(place[2] + step, params.a_last)), load_a(min(place[3] + step, params.a_last)));
    return masked(read, first + depth, end);
}
// The block of four rows and four terms, .x and .y, that member n of a workgroup brings: neighbours read along a stored row.
fn left_member(n: u32) -> vec2<u32> { return vec2(n % TILE_ROWS4, n / TILE_ROWS4); }
