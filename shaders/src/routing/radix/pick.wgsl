// radix selection: the next digit of each segment's threshold, the largest d with at least as many keys of digit ≥ d as are still to be selected.
//
//   threshold_s ← threshold_s | d << shift      quota_s ← quota_s - #{keys of digit > d}      digits[s, ·] ← 0
//
// If there are fewer keys than are to be selected the digit is 0: after the last digit all are above the threshold or at it. If none is to be
// selected it is 255: the threshold is above every key, or its quota is 0. Owns: a segment's digits and its words of selection. One segment a
// workgroup, 256 ÷ INVOCATIONS digits an invocation. Slot: key. Const: INVOCATIONS. Shared: INVOCATIONS words.
struct Params {
    first: u32,
    end: u32,
    group_count: u32,
    shift: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> digits: array<u32>;
@group(0) @binding(2) var<storage, read_write> selection: array<u32>;

const_assert(256u % INVOCATIONS == 0u);
const SHARE: u32 = 256u / INVOCATIONS;

var<workgroup> keys_of: array<u32, INVOCATIONS>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let segment = params.first / INVOCATIONS + group;
    let words = segment * SELECTION_WORDS;
    let wanted = selection[words + 1u];
    var own = 0u;
    for (var d = 0u; d < SHARE; d++) { own += digits[segment * 256u + lane * SHARE + d]; }
    keys_of[lane] = own;
    workgroupBarrier();
    // All have read what one of them is about to write.
    storageBarrier();
    var above = 0u;
    for (var other = lane + 1u; other < INVOCATIONS; other++) { above += keys_of[other]; }
    if (lane == 0u) & (params.shift == 24u) { selection[words + 2u] = above + own; }
    for (var d = SHARE; d > 0u; d--) {
        let digit = lane * SHARE + d - 1u;
        let count = digits[segment * 256u + digit];
        let reached = (above + count >= wanted) | (digit == 0u);
        let is_first = (above < wanted) | (digit == 255u);
        if reached & is_first {
            selection[words] |= digit << params.shift;
            selection[words + 1u] = wanted - above;
        }
        above += count;
        digits[segment * 256u + digit] = 0u;
    }
}
