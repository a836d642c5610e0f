// What stands between an expert's products: the gradient, element by element.
//
//   d_gate ← curve'(gate) · factor(up) · d_y
//   d_up   ← curve(gate) · factor'(up) · d_y     if HALVES is 2
//
// Owns: its quads of a row of d_h. `rows_in` is h, `rows_beside` is d_y, `rows_out` is d_h. Slots: rows_in, rows_beside, rows_out, curve,
// factor. Consts: LANES, HALVES.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let place = place_of(group, lane);
    if place.row >= params.rows { return; }
    for (var quad = place.quad; quad < place.end; quad += place.step) {
        let gate = in4(place.row * HALVES, quad);
        let g = beside4(place.row, quad);
        var up = vec4(1.0);
        if HALVES == 2u { up = in4(place.row * HALVES + 1u, quad); }
        let is_broken = is_not_finite(gate) | is_not_finite(up) | is_not_finite(g);
        let first = curve(select(gate, vec4(0.0), is_broken));
        let second = factor(select(up, vec4(0.0), is_broken));
        let upstream = select(g, vec4(0.0), is_broken);
        store4(place.row * HALVES, quad, broken_where(is_broken, first.slope * second.value * upstream));
        if HALVES == 2u {
            store4(place.row * HALVES + 1u, quad, broken_where(is_broken, first.value * second.slope * upstream));
        }
    }
}
