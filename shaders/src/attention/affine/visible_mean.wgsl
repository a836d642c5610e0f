// attention, affine epilogue: the mean of the values that a query sees.
//
//   visible_mean_i ← Σ_j v_j / n_i   over the n_i keys of keys_of(i)
//
// Owns: its element of visible_mean, one an invocation; 0 where a query sees no key, NaN where it sees a number that is not finite.
// Slots: rows, mask.
@group(0) @binding(5) var<storage, read_write> visible_mean: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let own = (params.first_group + place) * INVOCATIONS + invocation;
    let row = row_at(own / params.row_width);
    if !row.owned { return; }
    let d = own % params.row_width;
    let keys = keys_of(row.i);
    sum_is_broken = false;
    let sum = range_sum(key_segment(), keys, d);
    let mean = sum / f32(max(keys.y, keys.x + 1u) - keys.x);
    visible_mean[row.start + d] = select(mean, bitcast<f32>(NAN_BITS), sum_is_broken);
}
