// Entries of a plan's list that are neither legal nor NO_ROW, counted by part of the list.
//
//   rejected_parts[group] ← (how many, flat index of the first or NO_ROW)
//
// Owns: its workgroup's part. `listed` is permutation or inverse. Atomics join counts and a minimum, whose order cannot matter.
// Consts: LANES, EACH. Shared: 8 bytes.
struct Params {
    first: u32,         // invocation of this dispatch
    end: u32,
    group_count: u32,
    entries: u32,       // of the list
    legal: u32,         // entries below are legal
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> listed: array<u32>;
@group(0) @binding(2) var<storage, read_write> rejected_parts: array<vec2<u32>>;

const NO_ROW: u32 = 0x7fffffffu;
var<workgroup> count: atomic<u32>;
var<workgroup> least: atomic<u32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let part = params.first / LANES + group;
    if lane == 0u {
        atomicStore(&count, 0u);
        atomicStore(&least, NO_ROW);
    }
    workgroupBarrier();
    for (var n = 0u; n < EACH; n++) {
        let at = (part * EACH + n) * LANES + lane;
        if at < params.entries {
            let entry = listed[at];
            if (entry >= params.legal) & (entry != NO_ROW) {
                atomicAdd(&count, 1u);
                atomicMin(&least, at);
            }
        }
    }
    workgroupBarrier();
    if lane == 0u { rejected_parts[part] = vec2(atomicLoad(&count), atomicLoad(&least)); }
}
