// MoE combine, gradient of the experts' rows.
//
//   d_y[row] ← weights_a · d_o[a / k],   a = permutation[row];   0 where the entry is no assignment
//
// Owns: its quads of a row of d_y. `rows_in` is d_o, `rows_out` is d_y. Slots: rows_in, rows_out, weight. Consts: LANES, BLOCK.
@group(0) @binding(4) var<storage, read> permutation: array<u32>;   // [rows]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let place = place_of(group, lane);
    if place.row >= params.rows { return; }
    let slot = permutation[place.row];
    let is_legal = slot < params.legal;
    let token = slot / params.top_k;
    var weight = vec4(0.0);
    if is_legal { weight = vec4(weight_of(slot)); }
    let weight_is_broken = is_not_finite(weight);
    let factor = select(weight, vec4(0.0), weight_is_broken);
    for (var quad = place.quad; quad < place.end; quad += BLOCK * place.step) {
        var values = array<vec4<f32>, BLOCK>();
        for (var b = 0u; b < BLOCK; b++) { // unroll
            let at = quad + b * place.step;
            if is_legal & (at < place.end) { values[b] = in4(token, at); }
        }
        for (var b = 0u; b < BLOCK; b++) { // unroll
            let at = quad + b * place.step;
            let is_broken = is_not_finite(values[b]);
            let value = factor * select(values[b], vec4(0.0), is_broken);
            if at < place.end { store4(place.row, at, broken_where(is_broken | weight_is_broken, value)); }
        }
    }
}
