// radix select, a digit: the value that the wanted key, the remaining-th largest of those that begin as it does, has there.
//
//   d ← the largest with Σ_{e ≥ d} n[e] ≥ remaining;   remaining ← remaining − Σ_{e > d} n[e];   prefix ← prefix with d
//
// Owns: the state of its row: the digits found, and how many keys are still to be taken among those that have them. A row a workgroup.
struct Params {
    first: u32,         // row of this dispatch
    group_count: u32,
    tiles: u32,
    count: u32,         // keys to take of a row
    shift: u32,
    mask: u32,          // digits that are known; 0 at first
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> select_state: array<u32>;
@group(0) @binding(2) var<storage, read> select_histograms: array<u32>;

const VALUES: u32 = 256u;

var<workgroup> totals: array<u32, VALUES>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let row = params.first + place;
    for (var d = invocation; d < VALUES; d += INVOCATIONS) {
        var total = 0u;
        for (var tile = 0u; tile < params.tiles; tile++) {
            total += select_histograms[(row * params.tiles + tile) * VALUES + d];
        }
        totals[d] = total;
    }
    workgroupBarrier();
    if invocation != 0u { return; }
    var remaining = select(select_state[2u * row + 1u], params.count, params.mask == 0u);
    var digit = VALUES - 1u;
    for (; digit > 0u; digit--) {
        let larger = totals[digit];
        if larger >= remaining { break; }
        remaining -= larger;
    }
    select_state[2u * row] = (select_state[2u * row] & params.mask) | (digit << params.shift);
    select_state[2u * row + 1u] = remaining;
}
