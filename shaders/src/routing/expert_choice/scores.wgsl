// expert choice: the scores of tokens, and the keys by which experts rank them.
//
//   p[t, e] ← exp(l[t, e] − max_e l) ÷ Σ_e exp(l[t, e] − max_e l)      key[e, t] ← bits of p + 1; 0 if e may not take t
//
// Owns: the keys of its token in every expert's row. A token an invocation: neighbours write neighbours. What is below the smallest normal number
// is 0, so that ranks do not hang on what a driver flushes. Slots: logits, token_mask, rejected, scores.
struct Params {
    first: u32,     // token of this dispatch
    end: u32,
    group_count: u32,
    tokens: u32,
    experts: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> choice_keys: array<u32>;

const LEAST: f32 = 1.1754943508222875e-38;      // 2^-126

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let token = params.first + group * INVOCATIONS + invocation;
    if token >= params.end { return; }
    let row = token * params.experts;
    let counts = token_counts(token);
    var peak = -LIMIT;
    for (var expert = 0u; expert < params.experts; expert++) {
        let bits = logit_bits(row + expert);
        if counts & is_nan(bits) { reject(row + expert); }
        peak = max(peak, select(logit(bits), -LIMIT, is_out(bits)));
    }
    var total = 0.0;
    for (var expert = 0u; expert < params.experts; expert++) { total += part(logit_bits(row + expert), peak); }
    let factor = 1.0 / max(total, 0.5);
    for (var expert = 0u; expert < params.experts; expert++) {
        let bits = logit_bits(row + expert);
        let p = part(bits, peak) * factor;
        let score = select(0u, bitcast<u32>(p), (p >= LEAST) & counts);
        choice_keys[expert * params.tokens + token] = select(score + 1u, 0u, is_out(bits) | !counts);
        store_score(row + expert, score);
    }
}
