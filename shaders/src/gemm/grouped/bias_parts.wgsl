// grouped bias, first step: sums of the rows of d_y by tile of rows.
//
//   parts[t, column] ← Σ_r d_y[r, column]   over the rows of tile t, all of one expert
//
// Owns: a tile's parts of INVOCATIONS columns, one an invocation. Those of tiles without an expert are not written and not read.
struct Params {
    first_group: u32,   // workgroups of this dispatch
    group_count: u32,
    tiles: u32,
    tile_rows: u32,
    rows: u32,
    n: u32,
    column_groups: u32, // workgroups of a tile
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> bias_tiles: array<vec4<u32>>;   // expert, first row, end row
@group(0) @binding(2) var<storage, read> d_y: array<Elem>;
@group(0) @binding(3) var<storage, read_write> bias_parts: array<f32>;   // [tiles, n]

const NONE: u32 = 0xffffffffu;   // no expert

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let group = params.first_group + place;
    let tile = min(group / params.column_groups, params.tiles - 1u);
    let column = group % params.column_groups * INVOCATIONS + invocation;
    let entry = bias_tiles[tile];
    if (column >= params.n) | (entry.x == NONE) { return; }
    let first = min(entry.y, params.rows);
    let end = min(min(entry.z, params.rows), first + params.tile_rows);
    var sum = 0.0;
    for (var r = first; r < end; r++) { sum += f32(d_y[r * params.n + column]); }
    bias_parts[tile * params.n + column] = sum;
}
