// attention statistics, sweep over the queries that see a key: their mean weight.
//
//   importance_j ← 1/n_j · Σ_i mass of z_ij · share_i
//
// Owns: an element of importance, and words of side. One key of one query head an invocation; of its queries, those from the stream_from-th to the
// stream_to-th. The last dispatch leaves the mean of all. Slots: pair, mass.
@group(0) @binding(9) var<storage, read_write> importance: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let number = (params.first_group + place) * INVOCATIONS + invocation;
    if number >= params.batch * params.q_heads * params.seq_kv { return; }
    let head = number / params.seq_kv;
    enter(head / params.q_heads, head % params.q_heads);
    let j = number % params.seq_kv;
    let packed = params.packed_rows == 1u;
    if packed & (j >= at.len_kv) { return; }
    let element = select(number, at.q_head * params.total_kv + at.key_stat + j, packed);
    let words = params.key_sums_at + element * KEY_WORDS;
    let goes_on = params.stream_from > 0u;
    var sum = select(0.0, side_f32(words), goes_on);
    var count = select(0u, side[words + 1u], goes_on);
    var broken = goes_on & (side[words + 2u] != 0u);
    let first = queries_from(j);
    let end = select(0u, min(queries_to(j), first + params.stream_to), j < at.len_kv);
    for (var i = first + params.stream_from; i < end; i++) {
        let pair = pair_of(i, j);
        let of_row = params.state_at + (at.stat_row + i) * ROW_WORDS;
        let m = mass(select(0.0, pair.z, pair.seen), side_f32(of_row));
        sum += select(0.0, m * side_f32(of_row + 5u), pair.seen);
        count += u32(pair.seen);
        broken = broken | (pair.seen & (side[of_row + 4u] != 0u));
    }
    side[words] = bitcast<u32>(sum);
    side[words + 1u] = count;
    side[words + 2u] = u32(broken);
    let nan = bitcast<f32>(NAN_BITS | (params.stream_from >> 31u));
    importance[element] = select(sum / f32(max(count, 1u)), nan, broken);
}
