// The gate: the best experts of a token, and their weights.
//
//   rank_e ← order of x, or of p + bias             words in workgroup memory, 0 where masked
//   groups that are not among the best are masked
//   k times: the best rank after the last one       by (rank, lower expert)
//   w̃ → threshold → ÷ Σ w̃ + ε → scale
//
// LANES lanes a token, TOKENS tokens a workgroup. Nothing is taken out of the ranks: a round looks for the best that follows the last winner.
// Owns: its tokens' rows of weights, indices, scores, lse. Slots: activation, logit_bias, temperature, tokens, statistic, score, selection, groups,
// weight, threshold, divisor, scores, lse, rejected. Consts: LANES, TOKENS, CAPACITY ≥ experts, SLOTS ≥ top_k. Shared: 4·(CAPACITY + 3·SLOTS)·TOKENS.
@group(0) @binding(3) var<storage, read_write> weights: array<f32>;
@group(0) @binding(4) var<storage, read_write> indices: array<u32>;

var<workgroup> ranks: array<u32, CAPACITY * TOKENS>;

fn order_at(expert: u32) -> u32 { return ranks[seat * CAPACITY + expert]; }

// Orders of all x; NaN logits are told.
fn load_token() {
    for (var e = lane; e < params.experts; e += LANES) {
        let bits = logit_bits(e);
        if token_is_live & is_nan(bits) { reject(e); }
        ranks[seat * CAPACITY + e] = entry(bits, e);
    }
}

// Scores out, and ranks in the place of the orders.
fn rank_experts(stat: Stat, exists: bool) {
    for (var e = lane; e < params.experts; e += LANES) {
        let order = order_at(e);
        var p = 0.0;
        if order != MASKED { p = score(order, stat); }
        if exists { store_score(e, p); }
        ranks[seat * CAPACITY + e] = rank(order, p, e);
    }
}

fn choose() {
    var last = vec2(0xffffffffu, 0u);
    for (var j = 0u; j < params.top_k; j++) {
        var best = vec2(MASKED, NO_EXPERT);
        for (var e = lane; e < params.experts; e += LANES) {
            let order = order_at(e);
            let follows = (order < last.x) | ((order == last.x) & (e > last.y));
            best = select(best, vec2(order, e), follows & (order > best.x));
        }
        last = best_over_lanes(best);
        if lane == 0u { slot_expert[seat * SLOTS + j] = last.y; }
    }
}

// w̃ of every slot; those below the threshold are emptied.
fn weigh_slots(stat: Stat) {
    workgroupBarrier();
    for (var j = lane; j < params.top_k; j += LANES) {
        let e = slot_expert[seat * SLOTS + j];
        var order = MASKED;
        if e < params.experts { order = entry(logit_bits(e), e); }
        slot_order[seat * SLOTS + j] = order;
    }
    workgroupBarrier();
    let peak = slots_peak();
    for (var j = lane; j < params.top_k; j += LANES) {
        let order = slot_order[seat * SLOTS + j];
        var w = 0.0;
        if order != MASKED { w = weigh(order, peak, stat); }
        let filled = fills(w);
        slot_weight[seat * SLOTS + j] = select(0.0, w, filled);
        if !filled { slot_expert[seat * SLOTS + j] = NO_EXPERT; }
    }
    workgroupBarrier();
}

@compute @workgroup_size(LANES * TOKENS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    take_place(group, invocation);
    let exists = token_exists(group);
    load_token();
    let stat = measure();
    if exists & (lane == 0u) { store_lse(stat); }
    rank_experts(stat, exists);
    limit_groups();
    choose();
    weigh_slots(stat);
    var sum = 0.0;
    for (var j = 0u; j < params.top_k; j++) { sum += slot_weight[seat * SLOTS + j]; }
    let factor = slot_factor(sum);
    if !exists { return; }
    for (var j = lane; j < params.top_k; j += LANES) {
        let e = slot_expert[seat * SLOTS + j];
        let here = (e >= params.range_from) & (e < params.range_to);
        let elsewhere = (e != NO_EXPERT) & !here;
        weights[token * params.top_k + j] = select(0.0, factor * slot_weight[seat * SLOTS + j], here);
        indices[token * params.top_k + j] = e | select(0u, ELSEWHERE, elsewhere);
    }
}
