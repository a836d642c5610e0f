// Slot groups: experts that are not in one of the best groups are masked. Slot group_order says what groups are ranked by.
var<workgroup> group_orders: array<u32, GROUPS * TOKENS>;
var<workgroup> group_is_kept: array<u32, GROUPS * TOKENS>;

// Every invocation must call it.
fn limit_groups() {
    workgroupBarrier();
    for (var g = lane; g < params.groups; g += LANES) { group_orders[seat * GROUPS + g] = group_order(g); }
    workgroupBarrier();
    for (var g = lane; g < params.groups; g += LANES) {
        let own = group_orders[seat * GROUPS + g];
        var before = 0u;    // groups that are better, or equal and lower
        for (var other = 0u; other < params.groups; other++) {
            let order = group_orders[seat * GROUPS + other];
            before += select(0u, 1u, (order > own) | ((order == own) & (other < g)));
        }
        group_is_kept[seat * GROUPS + g] = select(0u, 1u, before < params.kept_groups);
    }
    workgroupBarrier();
    for (var e = lane; e < params.experts; e += LANES) {
        if group_is_kept[seat * GROUPS + e / params.group_experts] == 0u { ranks[seat * CAPACITY + e] = MASKED; }
    }
}
