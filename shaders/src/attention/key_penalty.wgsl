// attention, prologue: a penalty on the length of keys, as a key bias of each key/value head.
//
//   key_bias_j ← given_j - ½·λ·scale·|k_j|²
//
// Owns: its word of key_bias in side, one key an invocation. A key with a number that is not finite has no penalty: its pairs are NaN whatever
// their bias. Slots: rows, given.
@group(0) @binding(2) var<storage, read> k_rows: array<Elem>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = row_at((params.first_group + place) * INVOCATIONS + invocation);
    if !row.owned { return; }
    var squares = 0.0;
    var broken = false;
    for (var d = 0u; d < params.row_width; d++) {
        let x = f32(k_rows[row.start + d]);
        broken = broken | is_not_finite(bitcast<u32>(x));
        squares += x * x;
    }
    let penalty = select(clamp(params.key_penalty * squares, -LIMIT, LIMIT), 0.0, broken);
    let given = given_bits(row);
    let bias = clamp(bitcast<f32>(select(given, 0u, given == NEG_INF_BITS)) - penalty, -LIMIT, LIMIT);
    side[params.key_bias_at + row.stat] = select(bitcast<u32>(bias), given, given == NEG_INF_BITS);
}
