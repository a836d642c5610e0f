// routing plan: what each column holds before a tile, from what it holds before the tile's run.
//
//   tile_counts[tile, c] ← run_counts[r, c] + Σ_{t of run r, t < tile} tile_counts[t, c]
//
// Owns: a run's tiles in a column. One an invocation. Slot: shape.
@group(0) @binding(1) var<storage, read_write> tile_counts: array<u32>;
@group(0) @binding(2) var<storage, read> run_counts: array<u32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let number = params.first + group * INVOCATIONS + lane;
    if number >= params.end { return; }
    let start = number / params.columns * params.run;
    var sum = run_counts[number];
    for (var tile = start; tile < min(start + params.run, params.tiles); tile++) {
        let at = tile * params.columns + number % params.columns;
        let count = tile_counts[at];
        tile_counts[at] = sum;
        sum += count;
    }
}
