// radix select, taking: how many keys of a tile are larger than the threshold, and how many equal it.
//
// Owns: the two counts of its tile of a row. A tile a workgroup. Slot: key.
struct Params {
    first: u32,         // tile of this dispatch, counted over all rows
    group_count: u32,
    cols: u32,
    tiles: u32,
    tile: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> select_state: array<u32>;
@group(0) @binding(2) var<storage, read_write> select_counts: array<vec2<u32>>;

var<workgroup> larger: atomic<u32>;
var<workgroup> equal: atomic<u32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let flat_tile = params.first + place;
    let row = flat_tile / params.tiles;
    let from_col = (flat_tile % params.tiles) * params.tile;
    let end_col = min(from_col + params.tile, params.cols);
    if invocation == 0u {
        atomicStore(&larger, 0u);
        atomicStore(&equal, 0u);
    }
    workgroupBarrier();
    let threshold = select_state[2u * row];
    var own = vec2(0u);
    for (var col = from_col + invocation; col < end_col; col += INVOCATIONS) {
        let key = key_at(row, col);
        own += vec2(u32(key > threshold), u32(key == threshold));
    }
    atomicAdd(&larger, own.x);
    atomicAdd(&equal, own.y);
    workgroupBarrier();
    if invocation == 0u { select_counts[flat_tile] = vec2(atomicLoad(&larger), atomicLoad(&equal)); }
}
