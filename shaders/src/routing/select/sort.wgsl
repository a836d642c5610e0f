// bitonic sort of (key, column) pairs in workgroup memory: keys descending, equal ones by column.
//
//   for stage = 2, 4, …, size:  for stride = stage/2, …, 1:  pairs at a distance of stride change places if they are out of order
//
// Owns: SORT places of the rows laid out one after another, `size` a row, a power of two: some rows, or a part of one, whose later stages have
// strides that `exchange.wgsl` takes. A stretch of SORT places a workgroup. Slots: source, sink.
struct Params {
    first: u32,         // stretch of this dispatch
    group_count: u32,
    rows: u32,
    cols: u32,
    count: u32,         // winners of a row
    filled: u32,        // places of a row that hold a pair; the others come last
    size: u32,
    first_stage: u32,
    last_stage: u32,
}
@group(0) @binding(0) var<uniform> params: Params;

const_assert((SORT & (SORT - 1u)) == 0u);

var<workgroup> sort_keys: array<u32, SORT>;
var<workgroup> sort_cols: array<u32, SORT>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let start = (params.first + group) * SORT;
    for (var n = invocation; n < SORT; n += LANES) {
        let row = (start + n) / params.size;
        let place = (start + n) % params.size;
        var pair = vec2(0u, 0xffffffffu);
        if (row < params.rows) & (place < params.filled) { pair = pair_at(row, place); }
        sort_keys[n] = pair.x;
        sort_cols[n] = pair.y;
    }
    workgroupBarrier();
    for (var stage = params.first_stage; stage <= params.last_stage; stage *= 2u) {
        for (var stride = min(stage / 2u, SORT / 2u); stride > 0u; stride /= 2u) {
            for (var n = invocation; n < SORT / 2u; n += LANES) {
                let low = min(2u * n - (n & (stride - 1u)), SORT - 1u);
                let high = min(low + stride, SORT - 1u);
                let a = vec2(sort_keys[low], sort_cols[low]);
                let b = vec2(sort_keys[high], sort_cols[high]);
                let falls = ((start + low) & (params.size - 1u) & stage) == 0u;
                if belongs_before(b, a) == falls {
                    sort_keys[low] = b.x;
                    sort_cols[low] = b.y;
                    sort_keys[high] = a.x;
                    sort_cols[high] = a.y;
                }
            }
            workgroupBarrier();
        }
    }
    for (var n = invocation; n < SORT; n += LANES) {
        let row = (start + n) / params.size;
        if row < params.rows { store_pair(row, (start + n) % params.size, vec2(sort_keys[n], sort_cols[n])); }
    }
}
