// gemm: a tile of c = alpha·op(a)·op(b) + bias.
//
//   for the terms k_from .. k_to, a few at a time:
//       acc ← acc + op(a)[rows, terms] · op(b)[terms, columns]     [ROWS, COLS] in each invocation
//   c ← alpha·acc + bias
//
// Owns: its tile of c. Slots: schedule, deal or left, right, load, store, carry. A workgroup is a tile of TILE_ROWS × TILE_COLS.
// Consts: ROWS and COLS = 4·COLS4 of an invocation, SUMS = ROWS·COLS4.

fn bias4(col: u32) -> vec4<f32> {
    if params.bias_at == ABSENT { return vec4(0.0); }
    return bitcast<vec4<f32>>(side[params.bias_at + min(col, params.n - 1u) / 4u]);
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    enter(params.first_group + place);
    take_place(invocation);
    var acc: Sums;                                                  // [ROWS, COLS4, 4]
    let state = params.state_at + (place * INVOCATIONS + invocation) * SUMS;
    resume(state, &acc);
    product(&acc);
    if suspend(state, &acc) { return; }
    for (var c = 0u; c < COLS4; c++) { // unroll
        let col = column(c);
        let bias = bias4(col);                                      // [4]
        for (var r = 0u; r < ROWS; r++) { // unroll
            if row(r) < params.m_to { store_c(row(r), col, params.alpha * acc[r * COLS4 + c] + bias); }
        }
    }
}
