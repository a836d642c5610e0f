// attention merge: parts of an attention whose keys were split between calls, joined.
//
//   o ← Σ_s share_s·o_s ÷ Σ_s share_s       softmax: share_s = exp(lse_s - m); without lse: a plain sum
//
// Owns: its element of o, and, at the first element of a row, the row's lse. One element an invocation. Slot: join.
struct Params {
    first: u32,     // element of this dispatch
    end: u32,
    group_count: u32,
    parts: u32,
    rows: u32,
    val_dim: u32,
    nan: u32,       // bits
    minus_infinity: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> o_parts: array<Elem>;
@group(0) @binding(2) var<storage, read_write> o: array<Elem>;

fn is_not_finite(bits: u32) -> bool { return (bits & 0x7f800000u) == 0x7f800000u; }

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let element = params.first + place * INVOCATIONS + invocation;
    if element >= params.end { return; }
    let row = element / params.val_dim;
    let joint = enter_row(row);
    var sum = 0.0;
    var broken = joint.broken;
    for (var part = 0u; part < params.parts; part++) {
        if counts(part, row) {
            let x = f32(o_parts[part * params.rows * params.val_dim + element]);
            let finite = !is_not_finite(bitcast<u32>(x));
            broken = broken | !finite;
            sum += share(part, row, joint) * select(0.0, x, finite);
        }
    }
    o[element] = Elem(select(sum * joint.factor, bitcast<f32>(params.nan), broken));
    if element % params.val_dim == 0u { store_lse(row, joint); }
}
