// MoE combine: experts' rows summed by token.
//
//   o_t ← Σ_j weight_tj · y[inverse_tj]     slots j in their order; an entry that is no row adds nothing
//
// Owns: its quads of a row of o. `rows_in` is y, `rows_out` is o. Slots: rows_in, rows_out, weight. Consts: LANES, BLOCK.
@group(0) @binding(4) var<storage, read> inverse: array<u32>;   // [tokens, top_k]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let place = place_of(group, lane);
    if place.row >= params.rows { return; }
    for (var quad = place.quad; quad < place.end; quad += BLOCK * place.step) {
        var sums = array<vec4<f32>, BLOCK>();
        var broken = array<vec4<bool>, BLOCK>();
        for (var j = 0u; j < params.top_k; j++) {
            let slot = place.row * params.top_k + j;
            let row = inverse[slot];
            if row < params.legal {
                let weight = weight_of(slot);
                let weight_is_broken = is_not_finite(vec4(weight));
                let factor = select(vec4(weight), vec4(0.0), weight_is_broken);
                for (var b = 0u; b < BLOCK; b++) { // unroll
                    let at = quad + b * place.step;
                    if at < place.end {
                        let x = in4(row, at);
                        let is_broken = is_not_finite(x);
                        sums[b] += factor * select(x, vec4(0.0), is_broken);
                        broken[b] = broken[b] | is_broken | weight_is_broken;
                    }
                }
            }
        }
        for (var b = 0u; b < BLOCK; b++) { // unroll
            let at = quad + b * place.step;
            if at < place.end { store4(place.row, at, broken_where(broken[b], sums[b])); }
        }
    }
}
