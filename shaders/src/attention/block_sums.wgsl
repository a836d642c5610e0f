// Sums of blocks of rows: sums[block, column] ← Σ of the rows of a block.  Segments of rows are cut into blocks each by itself; run again on its
// own output for blocks of blocks, until one is left if a whole segment is to be summed. A block without rows has the sum 0.
//
// Owns: its element of sums, one an invocation. A sum with a number that is not finite is NaN.
struct Params {
    first: u32,         // element of sums of this dispatch
    end: u32,
    group_count: u32,
    length: u32,        // rows of a segment
    blocks: u32,        // of a segment
    width: u32,
    segment_step: u32,  // rows in memory from one segment to the next
    row_step: u32,      //   and from one row to the next
    nan: u32,           // bits
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> terms: array<Term>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let own = params.first + place * INVOCATIONS + invocation;
    if own >= params.end { return; }
    let block = own / params.width;
    let row = block % params.blocks * ROWS;
    var sum = 0.0;
    var broken = false;
    for (var i = row; i < min(row + ROWS, params.length); i++) {
        let at = block / params.blocks * params.segment_step + i * params.row_step;
        let term = f32(terms[at * params.width + own % params.width]);
        broken = broken | ((bitcast<u32>(term) & 0x7f800000u) == 0x7f800000u);
        sum += term;
    }
    sums[own] = select(sum, bitcast<f32>(params.nan), broken);
}
