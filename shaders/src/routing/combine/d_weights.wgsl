// MoE combine, gradient of the weights: a dot product per assignment, shared by 2^lane_bits neighbours.
//
//   d_weights_a ← ⟨y[inverse_a], d_o[a / k]⟩,   0 where the entry is no row
//
// Owns: d_weights of its rows, which are assignments. `rows_in` is y, `rows_beside` is d_o. Slots: rows_in, rows_beside. Consts: LANES.
// Shared: LANES · 8 bytes.
@group(0) @binding(2) var<storage, read_write> d_weights: array<f32>;   // [tokens, top_k]
@group(0) @binding(4) var<storage, read> inverse: array<u32>;           // [tokens, top_k]

var<workgroup> partial: array<f32, LANES>;
var<workgroup> partial_is_broken: array<u32, LANES>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let place = place_of(group, lane);
    var row = params.legal;
    if place.row < params.rows { row = inverse[place.row]; }
    var sum = vec4(0.0);
    var is_broken = vec4(false);
    if row < params.legal {
        let token = place.row / params.top_k;
        for (var quad = place.quad; quad < place.end; quad += place.step) {
            let x = in4(row, quad);
            let g = beside4(token, quad);
            let both = is_not_finite(x) | is_not_finite(g);
            sum += select(x, vec4(0.0), both) * select(g, vec4(0.0), both);
            is_broken = is_broken | both;
        }
    }
    partial[lane] = (sum.x + sum.y) + (sum.z + sum.w);
    partial_is_broken[lane] = u32(any(is_broken));
    let own = lane & (place.step - 1u);
    for (var width = (1u << params.lane_bits) >> 1u; width > 0u; width >>= 1u) {
        workgroupBarrier();
        if own < width {
            partial[lane] += partial[lane + width];
            partial_is_broken[lane] |= partial_is_broken[lane + width];
        }
    }
    if (own == 0u) & (place.row < params.rows) {
        let is_nan = partial_is_broken[lane] != 0u;
        d_weights[place.row] = select(partial[lane], bitcast<f32>(params.nan), is_nan);
    }
}
