// expert choice, gradient: softmax's, of what experts took.
//
//   d_l[t, e] ← p[t, e] · (G[t, e] − Σ_f p[t, f]·G[t, f])       G: d_weights where expert e took token t, else 0
//
// Owns: its token's row of d_logits. A token an invocation. A G that is not finite makes the row NaN. Slot: logits.
struct Params {
    first: u32,     // token of this dispatch
    end: u32,
    group_count: u32,
    experts: u32,
    nan: u32,       // bits
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> choice_gradient: array<u32>;
@group(0) @binding(3) var<storage, read_write> d_logits: array<Elem>;

fn is_not_finite(bits: u32) -> bool { return (bits & 0x7f800000u) == 0x7f800000u; }

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let token = params.first + group * INVOCATIONS + invocation;
    if token >= params.end { return; }
    let row = token * params.experts;
    var peak = -LIMIT;
    var broken = false;
    for (var expert = 0u; expert < params.experts; expert++) {
        let bits = logit_bits(row + expert);
        peak = max(peak, select(logit(bits), -LIMIT, is_out(bits)));
        broken = broken | is_not_finite(choice_gradient[row + expert]);
    }
    var total = 0.0;
    var along = 0.0;
    for (var expert = 0u; expert < params.experts; expert++) {
        let x = part(logit_bits(row + expert), peak);
        total += x;
        along += x * upstream(row + expert, broken);
    }
    let factor = 1.0 / max(total, 0.5);
    along *= factor;
    for (var expert = 0u; expert < params.experts; expert++) {
        let p = part(logit_bits(row + expert), peak) * factor;
        let gradient = p * (upstream(row + expert, broken) - along);
        d_logits[row + expert] = Elem(select(gradient, bitcast<f32>(params.nan), broken));
    }
}

/// The gradient of the weight that the expert gave the token; in a row that is NaN anyway, 0.
fn upstream(at: u32, broken: bool) -> f32 { return bitcast<f32>(select(choice_gradient[at], 0u, broken)); }
