// routing plan: rows that no assignment has, and the expert of each block.
//
//   permutation[row] ← NO_ROW      block_experts[b] ← e : offsets_e ≤ b·block < offsets_{e+1}
//
// Owns: an element of permutation until a later step places an assignment there, and of block_experts at a block's first row. One row an invocation.
// Slot: shape.
@group(0) @binding(1) var<storage, read> offsets: array<u32>;
@group(0) @binding(2) var<storage, read_write> permutation: array<u32>;
@group(0) @binding(3) var<storage, read_write> block_experts: array<u32>;

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(workgroup_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>,
        @builtin(local_invocation_index) lane: u32) {
    let group = id.y * groups.x + id.x;
    if group >= params.group_count { return; }
    let row = params.first + group * INVOCATIONS + lane;
    if row >= params.end { return; }
    permutation[row] = NO_ROW;
    if row % params.block != 0u { return; }
    // the first expert whose rows end beyond this one, by halves
    var low = 0u;
    var high = params.experts;
    for (var halving = 0u; halving < 11u; halving++) {
        if low >= high { break; }
        let middle = (low + high) / 2u;
        if offsets[middle + 1u] > row { high = middle; } else { low = middle + 1u; }
    }
    block_experts[row / params.block] = select(NO_EXPERT, low, low < params.experts);
}
