// mixture of experts for few tokens, second half: every assignment's second product, weighed and added up.
//
//   o[t, c] ← Σ_j weights[t, j]·(Σ_f inner[t, j, f]·w_down_e[f, c] + b_down_e[c])     e = indices[t, j], j in order
//
// Owns: COLS elements of o. A column has PARTS invocations, each with its terms; sums meet in workgroup memory in a fixed order. An index
// that is no expert's adds nothing. Slot: bias. Consts: COLS, PARTS. Shared: COLS·PARTS words.
struct Params {
    first_group: u32,   // of this dispatch
    group_count: u32,
    blocks: u32,        // of columns, of a token
    top_k: u32,
    experts: u32,
    hidden: u32,
    width: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> inner: array<f32>;           // [tokens, top_k, width]
@group(0) @binding(2) var<storage, read> w_down: array<Elem>;     // [experts, width, hidden]
@group(0) @binding(3) var<storage, read> weights: array<f32>;     // [tokens, top_k]
@group(0) @binding(4) var<storage, read> indices: array<u32>;     // [tokens, top_k]
@group(0) @binding(5) var<storage, read_write> o: array<Elem>;    // [tokens, hidden]

var<workgroup> sum_tile: array<f32, COLS * PARTS>;

@compute @workgroup_size(COLS, PARTS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) lane: vec3<u32>) {
    let place = id.y * groups.x + id.x;
    let group = params.first_group + place;
    let token = group / params.blocks;
    let col = group % params.blocks * COLS + lane.x;
    let is_inside = (place < params.group_count) & (col < params.hidden);
    var total = 0.0;
    if is_inside {
        for (var slot = 0u; slot < params.top_k; slot++) {
            let assignment = token * params.top_k + slot;
            let expert = indices[assignment];
            if expert < params.experts {
                var sum = 0.0;
                for (var term = lane.y; term < params.width; term += PARTS) {
                    sum += inner[assignment * params.width + term] * f32(w_down[(expert * params.width + term) * params.hidden + col]);
                }
                if lane.y == 0u { sum += bias(expert * params.hidden + col); }
                total += weights[assignment] * sum;
            }
        }
    }
    sum_tile[lane.y * COLS + lane.x] = total;
    workgroupBarrier();
    if is_inside & (lane.y == 0u) {
        for (var part = 1u; part < PARTS; part++) { total += sum_tile[part * COLS + lane.x]; }
        o[token * params.hidden + col] = Elem(total);
    }
}
