// A function of every element that needs no statistic of its row: one workgroup a segment of a row.
//
// Owns: a segment of a row of the output. Slots: len, load, store, statistic, function. Consts: LANES.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let row = row_at(params.first_row + group / params.written);
    let begin = (group % params.written) * params.segment_cols;
    write(row, begin, min(begin + params.segment_cols, params.cols), lane, LANES, conclude(row, empty()));
}
