//! Faults of a bias by relative position.

use super::super::Row;

pub(super) const ALL: &[Row] = &[
    (
        "relative_from_query_alone",
        "attention/bias/relative.wgsl",
        "positions are not aligned at the end of the sequences",
        "i32(j) - i32(i) - at.off",
        "i32(j) - i32(i)",
        "attention",
        &["relative bias, dense"],
    ),
    (
        "relative_of_the_first_head",
        "attention/bias/relative.wgsl",
        "all heads read the first one's row of the table",
        "params.relative_at + at.q_head * u32(2 * params.reach + 1)",
        "params.relative_at",
        "attention",
        &["relative bias, dense"],
    ),
    (
        "relative_walk_stops_early",
        "attention/relative/walk.wgsl",
        "a walk leaves out its last step",
        "min((i32(at.len_q) - i32(own) + walk - 1) / walk,",
        "min((i32(at.len_q) - i32(own)) / walk,",
        "attention_backward",
        &["relative bias, ", "!no keys"],
    ),
    (
        "relative_walk_hidden",
        "attention/relative/walk.wgsl",
        "tiles at the edge of a causal mask are skipped",
        "(nearest - at.off > params.high_shift)",
        "(farthest - at.off > params.high_shift)",
        "attention_backward",
        &["relative bias, f16, beyond every distance"],
    ),
    (
        "relative_diagonal_of_a_tile",
        "attention/relative/diagonals.wgsl",
        "all queries of a diagonal are looked for in the first one's tile of keys",
        "j / TILE_STREAM",
        "(j - y) / TILE_STREAM",
        "attention_backward",
        &["relative bias, ", "!no keys"],
    ),
    (
        "relative_end_alone",
        "attention/relative/table.wgsl",
        "an end of the table has its own distance only",
        "(x - middle <= entry)",
        "(x - middle == entry)",
        "attention_backward",
        &["relative bias, ", "!no keys"],
    ),
];
