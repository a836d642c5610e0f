// What an expert weighs in the gradient, its price, and with it the loss:
//
//   weights[e] ← α·λ·loadᵖ          load = E·n_e/(k·T) or E·Σ_t p_te / T
//   loss ← Σ_e weights[e]·u_e · share,   potential ← Σ_e Σ_{j ≤ n_e} λ·(j·E/(k·T))ᵖ / (k·T)
//
// Owns: all of it, in one workgroup. Without a token that counts all is 0. Slots: load, probability, cost, value.
struct Params {
    experts: u32,
    top_k: u32,
    scale: f32,     // α·λ
    lambda: f32,
    share: f32,     // 1/E, or 1/(E·(p + 1)) for soft loads
    nan: u32,       // bits
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> counts: array<u32>;
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;

var<workgroup> lanes: array<vec3<f32>, INVOCATIONS>;

fn is_not_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) == 0x7f800000u; }

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(local_invocation_index) lane: u32) {
    let tokens = f32(counts[params.experts]);
    let per_token = 1.0 / max(tokens, 1.0);
    let per_slot = 1.0 / max(tokens * f32(params.top_k), 1.0);
    let unit = f32(params.experts) * per_slot;
    var terms = vec3(0.0);      // loss, potential, and whether a probability is no number
    for (var e = lane; e < params.experts; e += INVOCATIONS) {
        let n = f32(counts[e]);
        let given = probability_of(e);
        let broken = is_not_finite(given);
        let soft = f32(params.experts) * select(given, 0.0, broken) * per_token;
        let hard = n * f32(params.experts) * per_slot;
        let weight = params.scale * price(load_of(hard, soft));
        weights[e] = select(weight, bitcast<f32>(params.nan), broken & IS_SOFT);
        terms += vec3(weight * soft, params.lambda * arrivals(n, hard, unit) * per_slot, select(0.0, 1.0, broken));
    }
    lanes[lane] = terms;
    workgroupBarrier();
    for (var width = INVOCATIONS / 2u; width > 0u; width /= 2u) {
        if lane < width { lanes[lane] += lanes[lane + width]; }
        workgroupBarrier();
    }
    if lane == 0u { store(lanes[0].x * params.share, lanes[0].y, lanes[0].z > 0.0); }
}
