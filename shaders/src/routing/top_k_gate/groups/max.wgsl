// Slot group_order: the best of the group.
fn group_order(g: u32) -> u32 {
    var best = MASKED;
    for (var m = 0u; m < params.group_experts; m++) {
        best = max(best, ranks[seat * CAPACITY + g * params.group_experts + m]);
    }
    return best;
}
