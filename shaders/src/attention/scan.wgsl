// attention, values that are not finite: one word of flags per query row and per key row, found by their bits.
//   query: NOT_FINITE if a value makes every pair of the row NaN; INFINITE if the row of q holds an infinity
//   key:   NOT_FINITE if a NaN in k or anything not finite in v; INFINITE if the row of k holds an infinity
//
// Owns: the words flags_at .. of side: first all query rows in the order of q, then all key rows in the order of k. One row an invocation;
// stream_to is the count of rows of this step. Slots: scan (query or key rows), load.
const NOT_FINITE: u32 = 1u;
const INFINITE: u32 = 2u;

// NOT_FINITE for a NaN, INFINITE for an infinity.
fn flags_of(x: vec4<f32>) -> u32 {
    let bits = bitcast<vec4<u32>>(x) & vec4(0x7fffffffu);
    let nan = any(bits > vec4(0x7f800000u));
    let infinite = any(bits == vec4(0x7f800000u));
    return select(0u, NOT_FINITE, nan) | select(0u, INFINITE, infinite);
}
// NOT_FINITE for either.
fn flag_of(x: vec4<f32>) -> u32 { return select(0u, NOT_FINITE, flags_of(x) != 0u); }

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = (params.first_group + place) * INVOCATIONS + invocation;
    if row >= params.stream_to { return; }
    // Rows are taken as they lie in memory: one sequence as long as the tensor.
    at.len_q = params.stream_to;
    at.len_kv = params.stream_to;
    at.q_step = 1u;
    at.k_step = 1u;
    side[params.flags_at + first_word() + row] = scan_row(row);
}
