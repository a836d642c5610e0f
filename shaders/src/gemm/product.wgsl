// gemm: a tile of c = alpha·op(a)·op(b) + bias.
//
//   for the terms k_from .. k_to, a few at a time:
//       acc ← acc + op(a)[rows, terms] · op(b)[terms, columns]     [ROWS, COLS] in each invocation
//   c ← alpha·acc + bias
//
// Owns: its tile of c. Slots: shape, schedule, deal or left, right, load, store, carry. A workgroup is a tile of TILE_ROWS × TILE_COLS.
// Consts: ROWS and COLS = 4·COLS4 of an invocation, SUMS = ROWS·COLS4.

// Where sums of an invocation wait.
fn state_of(group: u32, invocation: u32) -> u32 { return params.state_at + (group * INVOCATIONS + invocation) * SUMS; }

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let turn = enter(place);
    if turn.idle { return; }
    take_place(invocation);
    var acc: Sums;                                                  // [ROWS, COLS4, 4]
    resume(state_of(turn.kept, invocation), &acc);
    product(&acc, turn.first, turn.end);
    if suspend(state_of(turn.keep, invocation), &acc) { return; }
    for (var c = 0u; c < COLS4; c++) { // unroll
        let col = column(c);
        let bias = bias4(col);                                      // [4]
        for (var r = 0u; r < ROWS; r++) { // unroll
            if row(r) < row_end() { store_c(row(r), col, params.alpha * acc[r * COLS4 + c] + bias); }
        }
    }
}
