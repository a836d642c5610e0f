// Counts of all parts:  counts[bin] ← Σ_part parts[part, bin].
//
// Owns: its element of counts, one an invocation.
struct Params {
    first: u32,
    end: u32,
    group_count: u32,
    bins: u32,
    part_count: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> parts: array<u32>;
@group(0) @binding(2) var<storage, read_write> counts: array<u32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let bin = params.first + place * INVOCATIONS + invocation;
    if bin >= params.end { return; }
    var sum = 0u;
    for (var part = 0u; part < params.part_count; part++) { sum += parts[part * params.bins + bin]; }
    counts[bin] = sum;
}
