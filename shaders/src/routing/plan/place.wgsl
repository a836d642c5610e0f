// routing plan, last step: the row of each assignment.
//
//   row of a ← offsets_e + (kept of e in earlier tiles) + (kept of e before a in this tile)        inverse_a ← row, permutation[row] ← a
//
// Owns: a tile's elements of inverse, and the rows of permutation that its assignments have. One tile a workgroup, INVOCATIONS assignments at a time:
// each looks at all of them, so ranks follow the order of assignments and no atomic decides. Slots: shape, keep. Consts: INVOCATIONS, EXPERTS.
// Shared: EXPERTS + 2 · INVOCATIONS words.
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read> tile_counts: array<u32>;
@group(0) @binding(3) var<storage, read> offsets: array<u32>;
@group(0) @binding(4) var<storage, read_write> permutation: array<u32>;
@group(0) @binding(5) var<storage, read_write> inverse: array<u32>;

var<workgroup> here: array<u32, EXPERTS>;                   // shares of the tile so far
var<workgroup> expert_of: array<u32, INVOCATIONS>;          // NO_EXPERT if it is not counted
var<workgroup> share_here: array<u32, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let tile = params.first / INVOCATIONS + group;
    for (var e = lane; e < EXPERTS; e += INVOCATIONS) { here[e] = 0u; }
    for (var from_here = 0u; from_here < params.tile; from_here += INVOCATIONS) {
        let assignment = tile * params.tile + from_here + lane;
        let present = assignment < params.assignments;
        let index = select(NO_EXPERT, indices[min(assignment, params.assignments - 1u)], present);
        let is_counted = index < params.experts;
        let expert = min(index, params.experts - 1u);
        var share = 0u;
        if is_counted { share = share_of(assignment, expert); }
        expert_of[lane] = select(NO_EXPERT, expert, is_counted);
        share_here[lane] = share;
        workgroupBarrier();
        var before = here[expert];
        var is_last = is_counted;
        for (var other = 0u; other < INVOCATIONS; other++) {
            let same = expert_of[other] == expert;
            before += select(0u, share_here[other], same & (other < lane));
            is_last = is_last & !(same & (other > lane));
        }
        if present { store(assignment, expert, select(NO_ROW, rank_of(tile, expert, before, share), is_counted)); }
        workgroupBarrier();
        if is_last { here[expert] = before + share; }
    }
}

fn store(assignment: u32, expert: u32, rank: u32) {
    let row = offsets[expert] + rank;
    // ranks and offsets come from buffers
    let has_row = (rank < NO_ROW) & (row < params.rows);
    inverse[assignment] = select(NO_ROW, row, has_row);
    if has_row { permutation[row] = assignment; }
}
