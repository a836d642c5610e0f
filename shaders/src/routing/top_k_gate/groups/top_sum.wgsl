// Slot group_order: the sum of the best of the group, taken one after another; MASKED if it has fewer.
fn group_order(g: u32) -> u32 {
    var last = vec2(0xffffffffu, 0u);   // order and member of the one taken before
    var sum = 0.0;
    for (var term = 0u; term < params.group_terms; term++) {
        var best = vec2(MASKED, NO_EXPERT);
        for (var m = 0u; m < params.group_experts; m++) {
            let order = ranks[seat * CAPACITY + g * params.group_experts + m];
            let follows = (order < last.x) | ((order == last.x) & (m > last.y));
            best = select(best, vec2(order, m), follows & (order > best.x));
        }
        last = best;
        if best.x != MASKED { sum = clamp(0.5 * sum + 0.5 * value_of(best.x), -0.5 * LIMIT, 0.5 * LIMIT) * 2.0; }
    }
    return select(order_of(sum), MASKED, last.x == MASKED);
}
