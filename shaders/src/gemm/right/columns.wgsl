// Slot right: b stored as [n, k], quads along the terms. Columns beyond the last one read as the last: their sums are not stored.
fn right_place(col: u32) -> Place {
    var place: Place;
    for (var e = 0u; e < 4u; e++) { // unroll
        place[e] = at.b + min(col + e, params.n_to - 1u) * params.b_row;
    }
    return place;
}
fn right_block(place: Place, depth: u32) -> Block {
    let first = depth / UNIT;
    return turned(Block(load_b(place[0] + first), load_b(place[1] + first), load_b(place[2] + first), load_b(place[3] + first)));
}
// The block of four columns and four terms, .x and .y, that member n of a workgroup brings: neighbours read along a stored row.
fn right_member(n: u32) -> vec2<u32> { return vec2(n / DEPTH4, n % DEPTH4); }
