// Slot keep: an expert keeps its first assignments. All are of one kind.
fn share_of(assignment: u32, expert: u32) -> u32 { return 1u; }
fn count_in(shares: u32, kind: u32) -> u32 { return shares; }

// Its place among those that the expert keeps, or NO_ROW. `before`: shares of the same tile and expert before it.
fn rank_of(tile: u32, expert: u32, before: u32, share: u32) -> u32 {
    let rank = tile_counts[tile * params.columns + expert] + before;
    return select(NO_ROW, rank, rank < params.capacity);
}
