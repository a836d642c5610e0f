// The gradient of a router's loss:  d_logits_t ← factor·d_loss/T · p_t ⊙ slope,  slope as the slot of that name says.
//
// Owns: its token's row of d_logits, SPAN lanes a token. Rows of padding are 0. Slots: row, slope, mask, number.
struct Params {
    first: u32,         // lane of this dispatch: SPAN a token
    end: u32,
    group_count: u32,
    tokens: u32,
    experts: u32,
    factor: f32,
    nan: u32,           // bits
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> d_loss: array<f32>;
@group(0) @binding(3) var<storage, read_write> d_logits: array<Elem>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let token = (params.first + place * INVOCATIONS + invocation) / SPAN;
    let inside = token < min(params.tokens, params.end / SPAN);
    var live = inside;
    if inside { live = counts_in(token); }
    let row = row_of(token, live, invocation);
    let upstream = d_loss[0];
    let broken = row.broken | is_not_finite(upstream) | is_lost(row);
    let scale = params.factor * (select(upstream, 0.0, is_not_finite(upstream)) * (1.0 / max(valid_tokens(), 1.0)));
    let share_of = select(0.0, 1.0 / max(row.total, 1.0), row.total > 0.0);
    let middle = middle_of(row, share_of);
    let count = select(0u, params.experts, inside);
    for (var e = invocation % SPAN; e < count; e += SPAN) {
        let at = token * params.experts + e;
        var found = 0.0;
        if live {
            let p = share(f32(logits[at]), row.half_peak) * share_of;
            found = select(scale * (p * slope(e, middle)), bitcast<f32>(params.nan), broken);
        }
        d_logits[at] = Elem(found);
    }
}
