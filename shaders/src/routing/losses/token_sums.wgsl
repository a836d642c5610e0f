// Sums over blocks of ROWS tokens, for slot sum to say of what: probabilities by expert, or squares of log-sum-exp.
//
// Owns: its block's row of sums, one a workgroup. SPAN lanes a token, then a sum in the order of tokens. Slots: row, sum, mask.
struct Params {
    first: u32,         // INVOCATIONS times the block of this dispatch's first workgroup
    end: u32,
    group_count: u32,
    tokens: u32,
    experts: u32,
    nan: u32,           // bits
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read_write> sums: array<f32>;

const TOKENS: u32 = INVOCATIONS / SPAN;
const_assert (ROWS % TOKENS == 0u);

var<workgroup> numbers: array<vec2<f32>, ROWS>;     // of each token of the block

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) invocation: u32) {
    let place = id.y * groups.x + id.x;
    if place >= params.group_count { return; }
    let block = params.first / INVOCATIONS + place;
    for (var done = 0u; done < ROWS; done += TOKENS) {
        let own = done + invocation / SPAN;
        let token = block * ROWS + own;
        var live = token < params.tokens;
        if live { live = counts_in(token); }
        let row = row_of(token, live, invocation);
        if invocation % SPAN == 0u { numbers[own] = numbers_of(row, live); }
    }
    workgroupBarrier();
    sum_block(block, invocation);
}
