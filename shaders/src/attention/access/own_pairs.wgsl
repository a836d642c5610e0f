// Slot access: the first TILE_QUERIES own positions of a tile are queries, the others their slopes. Row numbers of slopes have the highest bit set.
// Slot: load_slopes.
const Q: u32 = 0u;
const OF_SLOPES: u32 = 0x80000000u;

// No tile is one stretch of memory.
fn own_len() -> u32 { return 0u; }
fn own_row(operand: u32, p: u32) -> u32 {
    if p < own_first + TILE_QUERIES { return q_row(p); }
    return r_row(p - TILE_QUERIES) | OF_SLOPES;
}
fn own_next(operand: u32) -> u32 { return q_next(); }
fn own4(operand: u32, row: u32, skip: u32, d4: u32) -> vec4<f32> {
    if row < OF_SLOPES { return q4(row, skip, d4); }
    return r4(row & ~OF_SLOPES, skip, d4);
}
