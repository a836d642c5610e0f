// radix selection: of the keys that agree with their segment's threshold as far as it is known, how many have each next digit.
//
//   digits[s, d] ← digits[s, d] + #{n : segment s, key = threshold_s in the decided bits, digit d}
//
// One candidate an invocation. The atomics count: order cannot matter. Slots: key, candidate.
struct Params {
    first: u32,         // candidate of this dispatch
    end: u32,
    group_count: u32,
    segments: u32,
    shift: u32,         // of the digit: 24, 16, 8, 0
    decided: u32,       // the bits above it
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> digits: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read> selection: array<u32>;

struct Candidate {
    segment: u32,       // below params.segments, even if it does not count
    key: u32,
    counts: bool,
}

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let number = params.first + group * INVOCATIONS + lane;
    if number >= params.end { return; }
    let candidate = candidate_at(number);
    let agrees = ((candidate.key ^ selection[candidate.segment * SELECTION_WORDS]) & params.decided) == 0u;
    if candidate.counts & agrees {
        atomicAdd(&digits[candidate.segment * 256u + ((candidate.key >> params.shift) & 0xffu)], 1u);
    }
}
