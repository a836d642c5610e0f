// A function of rows: one workgroup a row.
//
//   stat ← merge over blocks of 16 columns, 4 quads LANES apart     (read)
//   stat ← reduce(stat)                                             (fixed tree)
//   row  ← value(column, stat)                                      (read again, write)
//
// Owns: its row of the output. Slots: len, load, store, statistic, function. Consts: LANES, FAN. Shared: LANES · 12 bytes.
@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let row = row_at(params.first_row + group);
    var stat = empty();
    for (var col = lane * 4u; col < row.len; col += LANES * BLOCK) {
        stat = merge(stat, gather(row, col, LANES * 4u));        // [16]
    }
    stat = reduce(lane, stat);
    write(row, 0u, params.cols, lane, LANES, conclude(row, stat));
}
