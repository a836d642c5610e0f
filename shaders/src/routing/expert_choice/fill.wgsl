// One word in every element, before some are written. An element an invocation.
//
// Owns: its element of `spread`.
struct Params {
    first: u32,     // element of this dispatch
    end: u32,
    group_count: u32,
    word: u32,
    second: u32,    // the word of element 1, where it has another
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> spread: array<u32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let element = params.first + group * INVOCATIONS + invocation;
    if element >= params.end { return; }
    spread[element] = select(params.word, params.second, element == 1u);
}
