// Sums over tokens: sums[block, column] ← Σ of a block of rows, ROWS at most, of a column of terms; run again on its own output until one block is
// left. A block without rows has the sum 0.
//
// Owns: its element of sums, one an invocation. A sum with a number that is not finite is NaN.
struct Params {
    first: u32,         // element of sums of this dispatch
    end: u32,
    group_count: u32,
    rows: u32,
    columns: u32,
    first_column: u32,  // of terms
    stride: u32,        // from a row of terms to the next
    nan: u32,           // bits
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> terms: array<f32>;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let own = params.first + place * INVOCATIONS + invocation;
    if own >= params.end { return; }
    let row = own / params.columns * ROWS;
    let column = params.first_column + own % params.columns;
    var sum = 0.0;
    var broken = false;
    for (var i = row; i < min(row + ROWS, params.rows); i++) {
        let term = terms[i * params.stride + column];
        broken = broken | ((bitcast<u32>(term) & 0x7f800000u) == 0x7f800000u);
        sum += term;
    }
    sums[own] = select(sum, bitcast<f32>(params.nan), broken);
}
