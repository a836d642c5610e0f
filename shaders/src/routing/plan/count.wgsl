// routing plan, first step: how many assignments of a tile each expert has.
//
//   tile_counts[tile, kind, e] ← #{a of tile : indices_a = e, a of that kind}
//   hostile[tile]              ← #{a of tile : indices_a means nothing}, the first of them
//
// Owns: a tile's counts. One tile a workgroup. The atomics only count and take a minimum: order cannot matter.
// Slots: shape, keep. Consts: INVOCATIONS, EXPERTS. Shared: EXPERTS words.
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> tile_counts: array<u32>;
@group(0) @binding(3) var<storage, read_write> hostile: array<u32>;

var<workgroup> here: array<atomic<u32>, EXPERTS>;
var<workgroup> hostile_here: array<atomic<u32>, 2>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let tile = params.first / INVOCATIONS + group;
    for (var e = lane; e < EXPERTS; e += INVOCATIONS) { atomicStore(&here[e], 0u); }
    if lane < 2u { atomicStore(&hostile_here[lane], select(0u, NO_ROW, lane == 1u)); }
    workgroupBarrier();
    for (var at = lane; at < params.tile; at += INVOCATIONS) {
        let assignment = tile * params.tile + at;
        if assignment < params.assignments {
            let index = indices[assignment];
            if index < params.experts {
                atomicAdd(&here[index], share_of(assignment, index));
            } else if is_hostile(index) {
                atomicAdd(&hostile_here[0], 1u);
                atomicMin(&hostile_here[1], assignment);
            }
        }
    }
    workgroupBarrier();
    for (var column = lane; column < params.columns; column += INVOCATIONS) {
        let shares = atomicLoad(&here[column % params.experts]);
        tile_counts[tile * params.columns + column] = count_in(shares, column / params.experts);
    }
    if lane < 2u { hostile[tile * 2u + lane] = atomicLoad(&hostile_here[lane]); }
}
