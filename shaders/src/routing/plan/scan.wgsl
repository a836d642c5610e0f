// routing plan: what each column holds before a line, and in all.
//
//   partials[line, c] ← Σ_{l < line} partials[l, c]        totals[c] ← Σ_l partials[l, c]
//
// Owns: a column. One an invocation. `partials` are counts of tiles, or of runs of tiles. Slot: shape.
@group(0) @binding(1) var<storage, read_write> partials: array<u32>;
@group(0) @binding(2) var<storage, read_write> totals: array<u32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let column = params.first + group * INVOCATIONS + lane;
    if column >= params.end { return; }
    var sum = 0u;
    for (var line = 0u; line < params.lines; line++) {
        let count = partials[line * params.columns + column];
        partials[line * params.columns + column] = sum;
        sum += count;
    }
    totals[column] = sum;
}
