// Slot right: b stored as [k, n], quads along the columns. Columns beyond the last one read as anything: their sums are not stored.

// Where four columns from `col` and four terms from `depth` of a step lie.
fn right_place(col: u32, depth: u32) -> Place {
    var place: Place;
    for (var e = 0u; e < 4u; e++) { // unroll
        place[e] = at.b + min(col, params.n_to - 1u) / UNIT + (depth + e) * params.b_row;
    }
    return place;
}
// Of the step that begins at term `first`, all of whose terms there are.
fn right_block(place: Place, first: u32) -> Block {
    let step = first * params.b_row;
    return Block(load_b(place[0] + step), load_b(place[1] + step), load_b(place[2] + step), load_b(place[3] + step));
}
// Of a step that may go beyond the last term, the one before `end`.
fn right_part(place: Place, first: u32, depth: u32, end: u32) -> Block {
    let step = first * params.b_row;
    let read = Block(load_b(min(place[0] + step, params.b_last)), load_b(min(place[1] + step, params.b_last)), load_b(min(place[2] + step, params.b_last)), load_b(min(place[3] + step, params.b_last)));
    return masked(read, first + depth, end);
}
// The block of four columns and four terms, .x and .y, that member n of a workgroup brings: neighbours read along a stored row.
fn right_member(n: u32) -> vec2<u32> { return vec2(n % TILE_COLS4, n / TILE_COLS4); }
