// Slot entries: experts, those of most rows first, so that what takes longest begins first; entry: expert, first row, end row, first tile.
fn count_of(expert: u32) -> u32 { return bound[expert + 2u] - bound[expert + 1u]; }

fn fill(entry: u32) {
    let count = count_of(entry);
    var rank = 0u;
    for (var e = 0u; e < params.experts; e++) {
        let other = count_of(e);
        rank += select(0u, 1u, (other > count) | ((other == count) & (e < entry)));
    }
    table[min(rank, params.experts - 1u)] = vec4(entry, bound[entry + 1u], bound[entry + 2u], before[entry + 1u]);
}
