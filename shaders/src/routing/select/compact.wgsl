// radix select, taking: the keys above the threshold, and as many equal ones as are missing, in the order of their columns.
//
//   place of a larger key ← how many larger ones precede it;   of an equal one ← count − remaining + how many equal ones precede it
//
// Owns: the places of its tile's keys among the winners of a row, found by scans, so that equal keys are taken from the first on. A tile a
// workgroup, a run of its columns an invocation. Slot: key.
struct Params {
    first: u32,         // tile of this dispatch, counted over all rows
    group_count: u32,
    cols: u32,
    tiles: u32,
    tile: u32,          // columns of a tile: INVOCATIONS runs
    run: u32,
    count: u32,         // keys to take of a row
    size: u32,          // places of a row
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> select_state: array<u32>;
@group(0) @binding(2) var<storage, read> select_counts: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> select_winners: array<vec2<u32>>;

var<workgroup> sums: array<vec2<u32>, INVOCATIONS>;

fn take(row: u32, place: u32, key: u32, col: u32) {
    if place < params.count { select_winners[row * params.size + place] = vec2(key, col); }
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let flat_tile = params.first + group;
    let row = flat_tile / params.tiles;
    let tile = flat_tile % params.tiles;
    let from_col = min(tile * params.tile + invocation * params.run, params.cols);
    let end_col = min(from_col + params.run, params.cols);
    let threshold = select_state[2u * row];
    let remaining = min(select_state[2u * row + 1u], params.count);
    var own = vec2(0u);
    for (var col = from_col; col < end_col; col++) {
        let key = key_at(row, col);
        own += vec2(u32(key > threshold), u32(key == threshold));
    }
    sums[invocation] = own;
    workgroupBarrier();
    for (var hop = 1u; hop < INVOCATIONS; hop *= 2u) {
        var before = vec2(0u);
        if invocation >= hop { before = sums[invocation - hop]; }
        workgroupBarrier();
        sums[invocation] += before;
        workgroupBarrier();
    }
    var next = sums[invocation] - own;
    for (var earlier = 0u; earlier < tile; earlier++) { next += select_counts[row * params.tiles + earlier]; }
    for (var col = from_col; col < end_col; col++) {
        let key = key_at(row, col);
        if key > threshold {
            take(row, next.x, key, col);
            next.x++;
        }
        if key == threshold {
            if next.y < remaining { take(row, params.count - remaining + next.y, key, col); }
            next.y++;
        }
    }
}
