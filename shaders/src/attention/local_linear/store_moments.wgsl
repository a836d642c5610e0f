// attention forward, local-linear rows: the numbers that the tile kernel left of every row become outputs.
//
// Owns: lse and rk_mean, one row an invocation, as rows lie in memory; stream_to is the count of rows.
@group(0) @binding(8) var<storage, read_write> lse: array<u32>;
@group(0) @binding(23) var<storage, read_write> rk_mean: array<u32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = (params.first_group + place) * INVOCATIONS + invocation;
    if row >= params.stream_to { return; }
    let word = params.means_at + row * 2u;
    lse[row + params.lse_shift] = side[word];
    rk_mean[row + params.lse_shift] = side[word + 1u];
}
