// A function of few long rows, first half: one workgroup a segment of a row leaves the segment's statistic in `row_stats`.
//
// Owns: row_stats[row, segment]. Slots: len, load, statistic, function (gather). Consts: LANES, FAN. Shared: LANES · 12 bytes.
@group(0) @binding(6) var<storage, read_write> row_stats: array<Stat>;   // [rows, segments]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let segment = group % params.segments;
    var row = row_at(params.first_row + group / params.segments);
    let begin = segment * params.segment_cols;
    row.len = min(row.len, begin + params.segment_cols);
    var stat = empty();
    for (var col = begin + lane * 4u; col < row.len; col += LANES * BLOCK) {
        stat = merge(stat, gather(row, col, LANES * 4u));        // [16]
    }
    stat = reduce(lane, stat);
    if lane == 0u { row_stats[row.index * params.segments + segment] = stat; }
}
