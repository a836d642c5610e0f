// Slot keep: an expert keeps what is above its threshold, and of what is at it the first ones. Two kinds of assignments: above (low half of a
// share) and at (high half); a tile has at most 2^15. What is below has no share.
@group(0) @binding(7) var<storage, read> weights: array<u32>;
@group(0) @binding(8) var<storage, read> selection: array<u32>;

const ABOVE: u32 = 1u;
const AT: u32 = 0x10000u;

fn share_of(assignment: u32, expert: u32) -> u32 {
    let key = key_of(weights[assignment]);
    let threshold = selection[expert * SELECTION_WORDS];
    return select(select(0u, AT, key == threshold), ABOVE, key > threshold);
}
fn count_in(shares: u32, kind: u32) -> u32 { return select(shares & 0xffffu, shares >> 16u, kind == 1u); }

// Its place among those that the expert keeps, or NO_ROW. `before`: shares of the same tile and expert before it.
fn rank_of(tile: u32, expert: u32, before: u32, share: u32) -> u32 {
    let counts = tile * params.columns + expert;
    let above = tile_counts[counts] + (before & 0xffffu);
    let at = tile_counts[counts + params.experts] + (before >> 16u);
    let quota = selection[expert * SELECTION_WORDS + 1u];
    let stays = (share == ABOVE) | ((share == AT) & (at < quota));
    return select(NO_ROW, above + min(at, quota), stays);
}
