// A function of every element that needs no statistic of its row, for short rows: one invocation a row.
//
// Owns: its row of the output. Slots: len, load, store, statistic, function. Consts: LANES rows a workgroup.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let index = params.first_row + group * LANES + lane;
    if index >= params.end_row { return; }
    let row = row_at(index);
    write(row, 0u, params.cols, 0u, 1u, conclude(row, empty()));
}
