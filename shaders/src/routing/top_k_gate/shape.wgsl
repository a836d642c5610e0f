// What the gate and its gradient share: parameters, a token's experts as words that are ordered as their logits, and what the lanes of a token
// tell each other. Every token has LANES lanes, a workgroup TOKENS tokens.
struct Params {
    first: u32,             // token of this dispatch
    end: u32,
    group_count: u32,
    experts: u32,
    top_k: u32,
    range_from: u32,        // experts at hand
    range_to: u32,
    groups: u32,
    kept_groups: u32,
    group_experts: u32,     // of a group
    group_terms: u32,       // scores whose sum is the group's
    logit_bias_at: u32,     // words of side
    selection_bias_at: u32,
    temperature_at: u32,
    token_mask_at: u32,
    stride: u32,            // of a token's terms
    heat_at: u32,           // the temperature's among them
    epsilon: f32,
    scale: f32,
    threshold: f32,
    nan: u32,               // bits
    minus_infinity: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> logits: array<Elem>;

const LIMIT: f32 = 3.0e38;          // of logits, biases and their sums
const MASKED: u32 = 0u;             // below the order of every number
const NO_EXPERT: u32 = 0x7fffffffu;
const NO_ROW: u32 = 0x7fffffffu;
const ELSEWHERE: u32 = 0x80000000u;
const_assert (LANES * TOKENS <= 256u);

var<private> seat: u32;             // of the token in the workgroup
var<private> lane: u32;             // of the token
var<private> token: u32;
var<private> token_is_live: bool;   // neither beyond the end nor padding
var<workgroup> exchanged: array<vec2<u32>, LANES * TOKENS>;
var<workgroup> slot_expert: array<u32, SLOTS * TOKENS>;
var<workgroup> slot_order: array<u32, SLOTS * TOKENS>;     // of x; MASKED: the slot is empty
var<workgroup> slot_weight: array<f32, SLOTS * TOKENS>;

fn take_place(group: u32, invocation: u32) {
    seat = invocation / LANES;
    lane = invocation % LANES;
    let own = params.first + group * TOKENS + seat;
    token = min(own, params.end - 1u);
    token_is_live = (own < params.end) & token_counts(token);
}
fn token_exists(group: u32) -> bool { return params.first + group * TOKENS + seat < params.end; }

// Words that are ordered as numbers are; -0 is 0. No number has the order MASKED.
fn order_of_bits(bits: u32) -> u32 {
    let one_zero = select(bits, 0u, bits == 0x80000000u);
    return select(one_zero | 0x80000000u, ~one_zero, (one_zero & 0x80000000u) != 0u);
}
fn order_of(x: f32) -> u32 { return order_of_bits(bitcast<u32>(x)); }
fn value_of(order: u32) -> f32 { return bitcast<f32>(select(~order, order & 0x7fffffffu, order >= 0x80000000u)); }

fn is_nan(bits: u32) -> bool { return (bits & 0x7fffffffu) > 0x7f800000u; }
fn is_not_finite(bits: u32) -> bool { return (bits & 0x7f800000u) == 0x7f800000u; }
fn masks(bits: u32) -> bool { return is_nan(bits) | (bits == 0xff800000u); }
// Within ±LIMIT, by bits: nothing is rounded.
fn saturated(bits: u32) -> u32 {
    let magnitude = min(bits & 0x7fffffffu, bitcast<u32>(LIMIT));
    return (bits & 0x80000000u) | magnitude;
}

fn logit_bits(expert: u32) -> u32 { return bitcast<u32>(f32(logits[token * params.experts + expert])); }
// The order of x = activation(logit) + bias, or MASKED.
fn entry(bits: u32, expert: u32) -> u32 {
    if !token_is_live | masks(bits) { return MASKED; }
    return biased(activated(saturated(bits)), expert);
}

// What all lanes of a token offer, in the order of the lanes. Every invocation must call them.
fn offer(word: vec2<u32>) {
    workgroupBarrier();
    exchanged[seat * LANES + lane] = word;
    workgroupBarrier();
}
fn sum_over_lanes(own: f32) -> f32 {
    offer(vec2(bitcast<u32>(own), 0u));
    var sum = 0.0;
    for (var i = 0u; i < LANES; i++) { sum += bitcast<f32>(exchanged[seat * LANES + i].x); }
    return sum;
}
fn max_over_lanes(own: u32) -> u32 {
    offer(vec2(own, 0u));
    var most = 0u;
    for (var i = 0u; i < LANES; i++) { most = max(most, exchanged[seat * LANES + i].x); }
    return most;
}
// The highest order; of equal ones the lower expert.
fn best_over_lanes(own: vec2<u32>) -> vec2<u32> {
    offer(own);
    var best = vec2(MASKED, NO_EXPERT);
    for (var i = 0u; i < LANES; i++) {
        let other = exchanged[seat * LANES + i];
        let better = (other.x > best.x) | ((other.x == best.x) & (other.y < best.y));
        best = select(best, other, better);
    }
    return best;
}

// exp(2d/τ) of a halved difference of two logits, so that none overflows: not above 0.
fn exp_of(half: f32) -> f32 {
    let t = temperature();
    return exp(2.0 * cooled(max(half, -100.0 * t), t));
}
