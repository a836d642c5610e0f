// radix select, a digit: how often each of its 256 values occurs in a tile, among the keys that begin as the wanted one.
//
//   n[d] ← #{ c in tile : key_c & mask = prefix & mask, (key_c >> shift) & 255 = d }
//
// Owns: the 256 counts of its tile of a row. A tile a workgroup; atomics only count, so their order cannot matter. Slot: key.
struct Params {
    first: u32,         // tile of this dispatch, counted over all rows
    group_count: u32,
    cols: u32,
    tiles: u32,         // of a row
    tile: u32,          // columns of a tile
    shift: u32,         // of the digit
    mask: u32,          // digits that are known; 0 at first, when the state is not yet written
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> select_state: array<u32>;
@group(0) @binding(2) var<storage, read_write> select_histograms: array<u32>;

const VALUES: u32 = 256u;

var<workgroup> bins: array<atomic<u32>, VALUES>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let flat_tile = params.first + place;
    let row = flat_tile / params.tiles;
    let from_col = (flat_tile % params.tiles) * params.tile;
    let end_col = min(from_col + params.tile, params.cols);
    for (var d = invocation; d < VALUES; d += INVOCATIONS) { atomicStore(&bins[d], 0u); }
    workgroupBarrier();
    let prefix = select_state[2u * row] & params.mask;
    for (var col = from_col + invocation; col < end_col; col += INVOCATIONS) {
        let key = key_at(row, col);
        if (key & params.mask) == prefix { atomicAdd(&bins[(key >> params.shift) & 255u], 1u); }
    }
    workgroupBarrier();
    for (var d = invocation; d < VALUES; d += INVOCATIONS) {
        select_histograms[flat_tile * VALUES + d] = atomicLoad(&bins[d]);
    }
}
