// grouped tiles: the offsets of experts, whatever they hold, as a table of the rows that workgroups of later steps own.
//
//   bound[0] ← 0,  bound[i] ← max(bound[i - 1], min(offsets[i - 1], rows)) for i = 1 .. experts + 1,  then rows
//   segment i is the rows bound[i] .. bound[i + 1]: of expert i - 1, and of none for i = 0 and i = experts + 1
//   before[i] ← Σ_{j < i} ceil(rows of segment j / tile_rows)
//
// Owns: its entries of table. Every workgroup forms bound and before for itself. Slot: entries. Consts: SEGMENTS = CHUNK·INVOCATIONS.
struct Params {
    first_group: u32,   // workgroups of this dispatch
    group_count: u32,
    experts: u32,
    rows: u32,
    tile_rows: u32,
    entries: u32,       // of table
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
@group(0) @binding(2) var<storage, read_write> table: array<vec4<u32>>;

var<workgroup> bound: array<u32, SEGMENTS>;
var<workgroup> before: array<u32, SEGMENTS>;
var<workgroup> part: array<u32, INVOCATIONS>;

const NONE: u32 = 0xffffffffu;   // no expert

// Every index into workgroup memory stays inside: an invocation has CHUNK segments.
const_assert (SEGMENTS == CHUNK * INVOCATIONS);

fn clamped(i: u32) -> u32 {
    if i == 0u { return 0u; }
    if i > params.experts + 1u { return params.rows; }
    return min(offsets[i - 1u], params.rows);
}
fn tiles_of(i: u32) -> u32 {
    if i + 1u >= SEGMENTS { return 0u; }
    return (bound[i + 1u] - bound[i] + params.tile_rows - 1u) / params.tile_rows;
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let first = invocation * CHUNK;
    var most = 0u;
    for (var i = 0u; i < CHUNK; i++) { most = max(most, clamped(first + i)); }
    part[invocation] = most;
    workgroupBarrier();
    most = 0u;
    for (var i = 0u; i < invocation; i++) { most = max(most, part[i]); }
    for (var i = 0u; i < CHUNK; i++) {
        most = max(most, clamped(first + i));
        bound[first + i] = most;
    }
    workgroupBarrier();
    var count = 0u;
    for (var i = 0u; i < CHUNK; i++) { count += tiles_of(first + i); }
    part[invocation] = count;
    workgroupBarrier();
    count = 0u;
    for (var i = 0u; i < invocation; i++) { count += part[i]; }
    for (var i = 0u; i < CHUNK; i++) {
        before[first + i] = count;
        count += tiles_of(first + i);
    }
    workgroupBarrier();
    for (var i = 0u; i < SHARES; i++) {
        let entry = ((params.first_group + place) * SHARES + i) * INVOCATIONS + invocation;
        if entry < params.entries { fill(entry); }
    }
}
