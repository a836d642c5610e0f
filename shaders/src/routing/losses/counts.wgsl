// Choices of experts, a part of the assignments at a time.
//
//   parts[part, e] ← how often e < experts was chosen by tokens that count;  parts[part, experts] ← how many of them begin in the part
//
// Owns: its row of parts, one a workgroup. Atomics on integers in workgroup memory: in whatever order, the counts are the same. Slot: mask.
struct Params {
    first: u32,         // INVOCATIONS times the part of this dispatch's first workgroup
    end: u32,
    group_count: u32,
    experts: u32,
    top_k: u32,
    assignments: u32,
    portion: u32,       // assignments of a part
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> indices: array<u32>;
@group(0) @binding(2) var<storage, read_write> parts: array<u32>;

const BINS: u32 = 1025u;    // the most experts, and the tokens
var<workgroup> tally: array<atomic<u32>, BINS>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let part = params.first / INVOCATIONS + place;
    let bins = min(params.experts + 1u, BINS);
    for (var bin = invocation; bin < bins; bin += INVOCATIONS) { atomicStore(&tally[bin], 0u); }
    workgroupBarrier();
    let begin = part * params.portion;
    for (var at = begin + invocation; at < min(begin + params.portion, params.assignments); at += INVOCATIONS) {
        if counts_in(at / params.top_k) {
            let index = indices[at];
            if index < bins - 1u { atomicAdd(&tally[index], 1u); }
            if at % params.top_k == 0u { atomicAdd(&tally[bins - 1u], 1u); }
        }
    }
    workgroupBarrier();
    for (var bin = invocation; bin < bins; bin += INVOCATIONS) { parts[part * bins + bin] = atomicLoad(&tally[bin]); }
}
