// bitonic sort, a stride that no workgroup's memory holds: pairs at that distance change places if they are out of order.
//
// Owns: two places of a row's winners. Two places an invocation. Slot: order.
struct Params {
    first: u32,         // exchange of this dispatch
    end: u32,
    group_count: u32,
    size: u32,          // places of a row, a power of two
    stage: u32,
    stride: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> select_winners: array<vec2<u32>>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let n = params.first + group * INVOCATIONS + invocation;
    if n >= params.end { return; }
    let low = 2u * n - (n & (params.stride - 1u));
    let high = low + params.stride;
    let a = select_winners[low];
    let b = select_winners[high];
    let falls = (low & (params.size - 1u) & params.stage) == 0u;
    if belongs_before(b, a) == falls {
        select_winners[low] = b;
        select_winners[high] = a;
    }
}
