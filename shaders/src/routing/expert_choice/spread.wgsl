// expert choice: what belongs to an expert's slot, put where its token and the expert meet.
//
//   spread[indices[e, c], e] ← word of slot (e, c)
//
// Owns: the elements that its slot names: an expert takes a token at most once. A slot an invocation. Slot: word.
struct Params {
    first: u32,     // slot of this dispatch
    end: u32,
    group_count: u32,
    tokens: u32,
    experts: u32,
    capacity: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> spread: array<u32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let place = params.first + group * INVOCATIONS + invocation;
    if place >= params.end { return; }
    let token = indices[place];
    if token < params.tokens { spread[token * params.experts + place / params.capacity] = word_of(place); }
}
