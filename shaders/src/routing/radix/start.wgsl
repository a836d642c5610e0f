// radix selection, before the first digit: nothing is counted, nothing known of the thresholds.
//
//   digits[s, d] ← 0      selection[s] ← (0, capacity, 0)
//
// Owns: a word of digits, and a segment's words of selection at its first digit. One digit an invocation. Slot: key.
struct Params {
    first: u32,
    end: u32,
    group_count: u32,
    capacity: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> digits: array<u32>;
@group(0) @binding(2) var<storage, read_write> selection: array<u32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let number = params.first + group * INVOCATIONS + lane;
    if number >= params.end { return; }
    digits[number] = 0u;
    if number % 256u != 0u { return; }
    let words = number / 256u * SELECTION_WORDS;
    selection[words] = 0u;
    selection[words + 1u] = params.capacity;
    selection[words + 2u] = 0u;
}
