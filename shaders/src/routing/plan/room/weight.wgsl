// Slot room: an expert keeps all above its threshold, and its quota of those at it.
@group(0) @binding(7) var<storage, read> selection: array<u32>;

fn counted(expert: u32) -> u32 { return selection[expert * SELECTION_WORDS + 2u]; }
fn kept(expert: u32) -> u32 {
    return totals[expert] + min(totals[params.experts + expert], selection[expert * SELECTION_WORDS + 1u]);
}
