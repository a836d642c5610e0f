// grouped bias, second step: sums of an expert's tiles of rows, in their order.
//
//   d_bias[e, column] ← Σ_t parts[t, column]   over the tiles of expert e; 0 if it has none
//
// Owns: its element of d_bias. One element an invocation; an entry of ranks is an expert.
struct Params {
    first: u32,         // elements of this dispatch
    end: u32,
    group_count: u32,
    experts: u32,
    n: u32,
    tiles: u32,
    tile_rows: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ranks: array<vec4<u32>>;        // expert, first row, end row, first tile
@group(0) @binding(2) var<storage, read> bias_parts: array<f32>;         // [tiles, n]
@group(0) @binding(3) var<storage, read_write> d_bias: array<f32>;       // [experts, n]

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let element = params.first + place * INVOCATIONS + invocation;
    if element >= params.end { return; }
    let entry = ranks[min(element / params.n, params.experts - 1u)];
    let column = element % params.n;
    let rows = max(entry.z, entry.y) - entry.y;
    let first = min(entry.w, params.tiles);
    let end = min(first + (rows + params.tile_rows - 1u) / params.tile_rows, params.tiles);
    var sum = 0.0;
    for (var t = first; t < end; t++) { sum += bias_parts[t * params.n + column]; }
    d_bias[min(entry.x, params.experts - 1u) * params.n + column] = sum;
}
