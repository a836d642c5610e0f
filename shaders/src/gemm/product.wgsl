// gemm: a tile of c = alpha·op(a)·op(b) + bias.
//
//   for the terms k_from .. k_to, a few at a time:
//       acc ← acc + op(a)[rows, terms] · op(b)[terms, columns]     [ROWS, COLS] in each invocation
//   c ← alpha·acc + bias
//
// Owns: its tile of c. Slots: schedule, deal (lanes only), left, right, load, store. A workgroup is a tile of TILE_ROWS × TILE_COLS.
// Consts: ROWS and COLS = 4·COLS4 of an invocation, SUMS = ROWS·COLS4.

// Sums that wait in side while other workgroups run.
fn resume(words: u32, acc: ptr<function, Sums>) {
    for (var i = 0u; i < SUMS; i++) { // unroll
        let word = words + i * 4u;
        (*acc)[i] = bitcast<vec4<f32>>(vec4(side[word], side[word + 1u], side[word + 2u], side[word + 3u]));
    }
}
fn suspend(words: u32, acc: ptr<function, Sums>) {
    for (var i = 0u; i < SUMS; i++) { // unroll
        let bits = bitcast<vec4<u32>>((*acc)[i]);
        for (var e = 0u; e < 4u; e++) { // unroll
            side[words + i * 4u + e] = bits[e];
        }
    }
}

fn bias4(col: u32) -> vec4<f32> {
    if params.bias_at == ABSENT { return vec4(0.0); }
    let word = vec4(params.bias_at) + min(vec4(col) + vec4(0u, 1u, 2u, 3u), vec4(params.n - 1u));
    return bitcast<vec4<f32>>(vec4(side[word.x], side[word.y], side[word.z], side[word.w]));
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    enter(params.first_group + place);
    take_place(invocation);
    var acc: Sums;                                                  // [ROWS, COLS4, 4]
    let words = params.state_at + (place * INVOCATIONS + invocation) * (SUMS * 4u);
    if params.k_from > 0u { resume(words, &acc); }
    product(&acc);
    if params.k_to < params.k {
        suspend(words, &acc);
        return;
    }
    for (var c = 0u; c < COLS4; c++) { // unroll
        let col = column(c);
        let bias = bias4(col);                                      // [4]
        for (var r = 0u; r < ROWS; r++) { // unroll
            if row(r) < params.m_to { store_c(row(r), col, params.alpha * acc[r * COLS4 + c] + bias); }
        }
    }
}
