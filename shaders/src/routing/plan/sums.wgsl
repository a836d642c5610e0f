// routing plan: counts of a run of tiles, where there are too many tiles for one invocation to walk along.
//
//   run_counts[r, c] ← Σ_{tile of run r} tile_counts[tile, c]
//
// Owns: a run's count in a column. One an invocation. Slot: shape.
@group(0) @binding(1) var<storage, read> tile_counts: array<u32>;
@group(0) @binding(2) var<storage, read_write> run_counts: array<u32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let number = params.first + group * INVOCATIONS + lane;
    if number >= params.end { return; }
    let start = number / params.columns * params.run;
    var sum = 0u;
    for (var tile = start; tile < min(start + params.run, params.tiles); tile++) {
        sum += tile_counts[tile * params.columns + number % params.columns];
    }
    run_counts[number] = sum;
}
