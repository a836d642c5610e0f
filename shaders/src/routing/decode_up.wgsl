// mixture of experts for few tokens, first half: every assignment's first product, and the function behind it.
//
//   inner[t, j, f] ← curve(x_t·w_up_e[:, f] + b_up_e[f]) · factor(x_t·w_up_e[:, width + f] + b_up_e[width + f])     e = indices[t, j]
//
// Owns: COLS elements of inner. A column has PARTS invocations, each with its terms; sums meet in workgroup memory in a fixed order. An index
// that is no expert's leaves 0. Slots: bias, curve, factor. Consts: COLS, PARTS, GATED. Shared: 2·COLS·PARTS words.
struct Params {
    first_group: u32,   // of this dispatch
    group_count: u32,
    blocks: u32,        // of columns, of an assignment
    top_k: u32,
    experts: u32,
    hidden: u32,
    width: u32,
    up: u32,            // columns of w_up
    limit: f32,         // of a clamped function
    alpha: f32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<Elem>;          // [tokens, hidden]
@group(0) @binding(2) var<storage, read> w_up: array<Elem>;       // [experts, hidden, up]
@group(0) @binding(3) var<storage, read> indices: array<u32>;     // [tokens, top_k]
@group(0) @binding(4) var<storage, read_write> inner: array<f32>;     // [tokens, top_k, width]

var<workgroup> left_tile: array<f32, COLS * PARTS>;
var<workgroup> right_tile: array<f32, COLS * PARTS>;

@compute @workgroup_size(COLS, PARTS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_id) lane: vec3<u32>) {
    let place = id.y * groups.x + id.x;
    let group = params.first_group + place;
    let assignment = group / params.blocks;
    let col = group % params.blocks * COLS + lane.x;
    let is_inside = (place < params.group_count) & (col < params.width);
    var expert = params.experts;
    if is_inside { expert = indices[assignment]; }
    let is_kept = expert < params.experts;
    var left = 0.0;
    var right = 0.0;
    if is_kept {
        let row = assignment / params.top_k * params.hidden;
        for (var term = lane.y; term < params.hidden; term += PARTS) {
            let at = (expert * params.hidden + term) * params.up + col;
            let value = f32(x[row + term]);
            left += value * f32(w_up[at]);
            if GATED == 1u { right += value * f32(w_up[at + params.width]); }
        }
    }
    left_tile[lane.y * COLS + lane.x] = left;
    right_tile[lane.y * COLS + lane.x] = right;
    workgroupBarrier();
    if is_inside & (lane.y == 0u) {
        for (var part = 1u; part < PARTS; part++) {
            left += left_tile[part * COLS + lane.x];
            right += right_tile[part * COLS + lane.x];
        }
        var made = 0.0;
        if is_kept {
            let bias_row = expert * params.up + col;
            left += bias(bias_row);
            if GATED == 1u { right += bias(bias_row + params.width); }
            made = curve(vec4(left)).value.x * factor(vec4(select(1.0, right, GATED == 1u))).value.x;
        }
        inner[assignment * params.width + col] = made;
    }
}
