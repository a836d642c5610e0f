// The gate's gradient: from the experts that were chosen, scores are formed again.
//
//   d_w̃_j ← (G_j - Σ ŵ G)·r/(Σ w̃ + ε)             of every slot
//   d_p ← d_scores + d_w̃,  d_z ← by the score      all experts, whose softmax moves with every one
//   d_x ← d_z/τ;  d_logits ← activation'·d_x;  terms ← what is summed over tokens
//
// Owns: its tokens' rows of d_logits and terms. LANES lanes a token, TOKENS tokens a workgroup; an expert belongs to one lane throughout.
// Slots: activation, logit_bias, temperature, tokens, statistic, score, weight, divisor, d_scores, d_lse, bias_terms, heat. Consts: LANES, TOKENS,
// CAPACITY ≥ experts, SLOTS ≥ top_k. Shared: 4·(CAPACITY + 4·SLOTS)·TOKENS.
@group(0) @binding(3) var<storage, read> indices: array<u32>;
@group(0) @binding(4) var<storage, read> d_weights: array<u32>;
@group(0) @binding(5) var<storage, read_write> d_logits: array<Elem>;

var<workgroup> slot_upstream: array<f32, SLOTS * TOKENS>;
var<workgroup> gathered: array<f32, CAPACITY * TOKENS>;     // what slots leave on their experts

fn order_at(expert: u32) -> u32 { return entry(logit_bits(expert), expert); }

// The slots' experts, their upstream gradients and w̃. An index beyond the experts is an empty slot. Whether a gradient that counts is not finite.
fn load_slots(stat: Stat) -> bool {
    var broken = false;
    for (var j = lane; j < params.top_k; j += LANES) {
        let index = indices[token * params.top_k + j];
        let bits = d_weights[token * params.top_k + j];
        let e = index & ~ELSEWHERE;
        var order = MASKED;
        if e < params.experts { order = order_at(e); }
        let here = (order != MASKED) & (index < ELSEWHERE);
        let finite = !is_not_finite(bits);
        broken = broken | (here & !finite);
        slot_expert[seat * SLOTS + j] = e;
        slot_order[seat * SLOTS + j] = order;
        slot_upstream[seat * SLOTS + j] = select(0.0, bitcast<f32>(select(0u, bits, finite)), here);
    }
    workgroupBarrier();
    let peak = slots_peak();
    for (var j = lane; j < params.top_k; j += LANES) {
        let order = slot_order[seat * SLOTS + j];
        var w = 0.0;
        if order != MASKED { w = weigh(order, peak, stat); }
        slot_weight[seat * SLOTS + j] = w;
    }
    workgroupBarrier();
    return broken;
}

// Every lane gathers what slots leave on its own experts.
fn gather() {
    var sum = 0.0;
    var dot = 0.0;
    for (var j = 0u; j < params.top_k; j++) {
        let w = slot_weight[seat * SLOTS + j];
        sum += w;
        dot += w * slot_upstream[seat * SLOTS + j];
    }
    let factor = slot_factor(sum);
    let mean = slot_mean(sum, dot);
    for (var e = lane; e < params.experts; e += LANES) { gathered[seat * CAPACITY + e] = 0.0; }
    for (var j = 0u; j < params.top_k; j++) {
        let e = min(slot_expert[seat * SLOTS + j], params.experts - 1u);
        if (e % LANES == lane) & (slot_order[seat * SLOTS + j] != MASKED) {
            let d_w = factor * (slot_upstream[seat * SLOTS + j] - mean);
            gathered[seat * CAPACITY + e] += slot_gradient(slot_weight[seat * SLOTS + j], d_w);
        }
    }
}

fn score_upstream(expert: u32) -> f32 {
    let bits = upstream_score(expert);
    return of_score(gathered[seat * CAPACITY + expert]) + bitcast<f32>(select(bits, 0u, is_not_finite(bits)));
}

@compute @workgroup_size(LANES * TOKENS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    take_place(group, invocation);
    let exists = token_exists(group);
    let stat = measure();
    var broken = load_slots(stat);
    gather();
    var own = 0.0;
    var any = false;
    for (var e = lane; e < params.experts; e += LANES) {
        let order = order_at(e);
        if order != MASKED {
            own += score(order, stat) * score_upstream(e);
            broken = broken | is_not_finite(upstream_score(e));
            any = true;
        }
    }
    let level = level_of(own);
    let of_lse = upstream_lse();
    broken = broken | (any & is_not_finite(of_lse));
    broken = max_over_lanes(select(0u, 1u, broken)) != 0u;
    let t = temperature();
    var heat = 0.0;
    for (var e = lane; e < params.experts; e += LANES) {
        let bits = logit_bits(e);
        let order = entry(bits, e);
        var d_x = 0.0;
        var d_l = 0.0;
        if order != MASKED {
            let x = value_of(order);
            let d_z = score_gradient(x, score(order, stat), score_upstream(e), level) + of_logit(gathered[seat * CAPACITY + e])
                + lse_gradient(select(of_lse, 0u, broken), order, stat);
            heat += d_z * x;
            d_x = cooled(d_z, t);
            d_l = d_x * activation_slope(bitcast<f32>(saturated(bits)));
        }
        if exists {
            store_bias_term(e, select(d_x, bitcast<f32>(params.nan), broken));
            d_logits[token * params.experts + e] = Elem(select(d_l, bitcast<f32>(params.nan), broken));
        }
    }
    store_heat(heat, exists, broken);
}
