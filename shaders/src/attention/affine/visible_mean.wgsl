// attention, affine epilogue: the means of the values that queries see, for RUN queries one after another.
//
//   visible_mean_i ← Σ_j v_j / n_i   over the n_i keys of keys_of(i)
//
// Both ends of that range move forward from query to query. What the whole run sees is summed once; a query adds its own keys before and after
// it, so nothing is taken off again. Where a run has nothing in inner, each query sums its own range.
// A mean is 0 where a query sees no key, NaN where it sees a number that is not finite.
// Owns: what becomes of its part of the means of its run. Slots: rows, mask, mean (what becomes of one).

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let own = (params.first_group + place) * INVOCATIONS + invocation;
    let d = own % params.row_width;
    let runs = (params.seq_q + RUN - 1u) / RUN;
    let head = own / params.row_width / runs;
    let first = own / params.row_width % runs * RUN;
    let end = min(first + RUN, params.seq_q);
    if !row_at(head * params.seq_q + first).owned { return; }

    let segment = key_segment();
    let inner = vec2(keys_from(min(end, max(at.len_q, 1u)) - 1u), keys_to(first));
    let has_inner = inner.x < inner.y;
    sum_is_broken = Flags(false);
    var core = Part(0.0);                                       // over the inner keys, and those after it up to the query's last
    if has_inner { core = range_sum(segment, inner, d); }
    var reached = inner.y;
    var core_is_broken = sum_is_broken;
    for (var i = first; i < end; i++) {
        let row = row_of(i);
        if !row.owned { break; }
        let keys = keys_of(i);
        sum_is_broken = Flags(false);
        var sum = Part(0.0);
        if has_inner & row.counts {
            core += sum_rows(segment, segment.first + reached, segment.first + keys.y, d);
            reached = keys.y;
            core_is_broken = core_is_broken | sum_is_broken;
            sum = core + sum_rows(segment, segment.first + keys.x, segment.first + inner.x, d);
            sum_is_broken = sum_is_broken | core_is_broken;
        } else {
            sum = range_sum(segment, keys, d);
        }
        let mean = sum / f32(max(keys.y, keys.x + 1u) - keys.x);
        take_mean(row, d, mean, sum_is_broken);
    }
}
