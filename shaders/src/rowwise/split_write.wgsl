// A function of few long rows, second half: every workgroup merges the statistics of its row in the same order and writes one segment.
// Lanes take whole statistics, so there are at most LANES segments.
//
// Owns: a segment of a row of the output. Slots: len, load, store, statistic, function. Consts: LANES, FAN. Shared: LANES · 12 bytes.
@group(0) @binding(6) var<storage, read> row_stats: array<Stat>;   // [rows, segments]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let row = row_at(params.first_row + group / params.written);
    var stat = empty();
    if lane < params.segments { stat = row_stats[row.index * params.segments + lane]; }
    stat = reduce(lane, stat);
    let begin = (group % params.written) * params.segment_cols;
    write(row, begin, min(begin + params.segment_cols, params.cols), lane, LANES, conclude(row, stat));
}
