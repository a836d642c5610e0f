// attention statistics, second sweep over a query's keys: entropy and largest weight of its row, and the row's 1 / sum.
//
//   m_j ← mass of z_ij      l ← Σ m_j + sink      H ← Σ m_j/l · ln l + Σ m_j·(-ln m_j) / l      top ← max m_j / l
//
// Both terms of H are not negative, so nothing cancels. Owns: an element of entropy and of top_mass, and words of side. One query of one head an
// invocation; of its keys, those from the stream_from-th to the stream_to-th. The last dispatch leaves the whole row's. Slots: rows, pair, mass.
@group(0) @binding(7) var<storage, read_write> entropy: array<f32>;
@group(0) @binding(8) var<storage, read_write> top_mass: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = row_at((params.first_group + place) * INVOCATIONS + invocation);
    if !row.owned { return; }
    let words = params.state_at + row.stat * ROW_WORDS;
    let goes_on = params.stream_from > 0u;
    let relative_to = side_f32(words);
    var sum = select(0.0, side_f32(words + 1u), goes_on);
    var spread = select(0.0, side_f32(words + 2u), goes_on);
    var largest = select(0.0, side_f32(words + 3u), goes_on);
    let keys = keys_of(row.i);
    for (var j = keys.x + params.stream_from; j < min(keys.y, keys.x + params.stream_to); j++) {
        let pair = pair_of(row.i, j);
        let z = select(0.0, pair.z, pair.seen);
        let m = select(0.0, mass(z, relative_to), pair.seen);
        sum += m;
        spread += m * surprise(z, relative_to);
        largest = max(largest, m);
    }
    side[words + 1u] = bitcast<u32>(sum);
    side[words + 2u] = bitcast<u32>(spread);
    side[words + 3u] = bitcast<u32>(largest);
    let whole = sum + sink_mass(row.i, relative_to);
    let share = select(0.0, 1.0 / max(whole, SMALLEST), whole > 0.0);
    side[words + 5u] = bitcast<u32>(share);
    let nan = bitcast<f32>(NAN_BITS | (params.stream_from >> 31u));
    let broken = side[words + 4u] != 0u;
    let h = share * (sum * log(max(whole, 1.0)) + spread);
    entropy[row.stat] = select(h, nan, broken);
    top_mass[row.stat] = select(largest * share, nan, broken);
}
