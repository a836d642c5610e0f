// The softmax of a token's logits by SPAN lanes, and the mean of the experts' weights under it. Slots that use it say what an expert weighs.
//
// Logits are halved, so that no difference of two overflows; -inf has probability 0 by its bits.
@group(0) @binding(1) var<storage, read> logits: array<Elem>;

const LARGEST: f32 = 1.7014117e38;  // half the largest number: a difference of two is a number still
const LEAST: f32 = -100.0;          // of half a difference: exp of the whole is 0
const_assert (SPAN <= INVOCATIONS);
const_assert (INVOCATIONS % SPAN == 0u);

struct Row {
    half_peak: f32,
    total: f32,     // Σ exp(logit - peak); 0 if there is no finite logit
    dot: f32,       // the same, times weights
    broken: bool,   // a logit is NaN or +inf, or a weight is no number
}

var<workgroup> lanes: array<vec2<f32>, INVOCATIONS>;

fn is_not_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u; }
fn is_minus_infinity(x: f32) -> bool { return bitcast<u32>(x) == 0xff800000u; }

fn half_of(x: f32) -> f32 { return 0.5 * select(x, 0.0, is_not_finite(x)); }
fn share(x: f32, half_peak: f32) -> f32 {
    return select(exp(2.0 * max(half_of(x) - half_peak, LEAST)), 0.0, is_minus_infinity(x));
}

// Both elements' largest over the lanes of a token. Every invocation must call it.
fn largest_of(own: vec2<f32>, invocation: u32) -> vec2<f32> {
    if SPAN == 1u { return own; }
    lanes[invocation] = own;
    workgroupBarrier();
    for (var width = SPAN / 2u; width > 0u; width /= 2u) {
        if invocation % SPAN < width { lanes[invocation] = max(lanes[invocation], lanes[invocation + width]); }
        workgroupBarrier();
    }
    let found = lanes[invocation - invocation % SPAN];
    workgroupBarrier();
    return found;
}

// Both elements' sum over the lanes of a token, in a fixed order. Every invocation must call it.
fn sum_of(own: vec2<f32>, invocation: u32) -> vec2<f32> {
    if SPAN == 1u { return own; }
    lanes[invocation] = own;
    workgroupBarrier();
    for (var width = SPAN / 2u; width > 0u; width /= 2u) {
        if invocation % SPAN < width { lanes[invocation] += lanes[invocation + width]; }
        workgroupBarrier();
    }
    let found = lanes[invocation - invocation % SPAN];
    workgroupBarrier();
    return found;
}

// A token's row, for all its lanes; nothing is read if it does not count. Every invocation must call it.
fn row_of(token: u32, live: bool, invocation: u32) -> Row {
    let begin = token * params.experts;
    let count = select(0u, params.experts, live);
    var top = vec2(-LARGEST, 0.0);
    for (var e = invocation % SPAN; e < count; e += SPAN) {
        let x = f32(logits[begin + e]);
        let broken = (is_not_finite(x) & !is_minus_infinity(x)) | is_not_finite(weight_of(e));
        top = max(top, vec2(select(half_of(x), -LARGEST, is_minus_infinity(x)), select(0.0, 1.0, broken)));
    }
    top = largest_of(top, invocation);
    var sums = vec2(0.0);
    for (var e = invocation % SPAN; e < count; e += SPAN) {
        let y = share(f32(logits[begin + e]), top.x);
        let weight = weight_of(e);
        sums += vec2(y, y * select(weight, 0.0, is_not_finite(weight)));
    }
    sums = sum_of(sums, invocation);
    return Row(top.x, sums.x, sums.y, top.y > 0.0);
}
