// Sums of columns: sums[block, column] ← Σ of the rows of a block.  Run again on its own output until one block is left.
//
// Owns: its element of sums, one an invocation. A sum with a number that is not finite is NaN.
struct Params {
    first_group: u32,
    group_count: u32,
    rows: u32,
    width: u32,
    nan: u32,       // bits
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> terms: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let own = (params.first_group + place) * INVOCATIONS + invocation;
    let block = own / params.width;
    let row = block * ROWS;
    if row >= params.rows { return; }
    var sum = 0.0;
    var broken = false;
    for (var i = row; i < min(row + ROWS, params.rows); i++) {
        let term = terms[i * params.width + own % params.width];
        broken = broken | ((bitcast<u32>(term) & 0x7f800000u) == 0x7f800000u);
        sum += term;
    }
    sums[own] = select(sum, bitcast<f32>(params.nan), broken);
}
