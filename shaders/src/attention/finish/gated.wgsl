// Slot finish: the output times a gate, in the arithmetic of row_map.wgsl on what would have been stored for it. Rows beyond a sequence stay 0.
// Slots: gate, activation.
fn finished(row: u32, d4: u32, stored: vec4<Elem>, counts: bool) -> vec4<Elem> {
    let x = vec4<f32>(stored);
    var y = vec4(0.0);
    for (var e = 0u; e < 4u; e++) { // unroll
        let d = min(d4 * 4u + e, params.val_dim - 1u);
        y[e] = saturated(scaled(activate(gate_of(row, d)).x, x[e]), x[e]);
    }
    return vec4<Elem>(select(vec4(0.0), y, counts));
}
