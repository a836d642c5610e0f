// What was counted by part of a plan's list, joined: one workgroup.
//
//   rejected ← (Σ how many, least first)
//
// Owns: rejected. Consts: LANES. Shared: 8 bytes.
struct Params {
    parts: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> rejected_parts: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read_write> rejected: array<u32>;   // [2]

const NO_ROW: u32 = 0x7fffffffu;
var<workgroup> count: atomic<u32>;
var<workgroup> least: atomic<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(local_invocation_index) lane: u32) {
    if lane == 0u {
        atomicStore(&count, 0u);
        atomicStore(&least, NO_ROW);
    }
    workgroupBarrier();
    for (var at = lane; at < params.parts; at += LANES) {
        let part = rejected_parts[at];
        atomicAdd(&count, part.x);
        atomicMin(&least, part.y);
    }
    workgroupBarrier();
    if lane == 0u {
        rejected[0] = atomicLoad(&count);
        rejected[1] = atomicLoad(&least);
    }
}
