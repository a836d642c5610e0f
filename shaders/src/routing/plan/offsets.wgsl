// routing plan: where each expert's rows begin, and what is said of all of them.
//
//   offsets_e ← Σ_{f < e} round_up(kept_f, block)      dispatch_args ← fold(offsets_E ÷ block)      rejected ← Σ hostile, min hostile
//
// Owns: counts, offsets, dispatch_args, rejected. One workgroup in all: an invocation takes a run of experts, and hostile indices of tiles
// INVOCATIONS apart. Slots: shape, room. Const: INVOCATIONS. Shared: 3 · INVOCATIONS words.
@group(0) @binding(1) var<storage, read> totals: array<u32>;
@group(0) @binding(2) var<storage, read> hostile: array<u32>;
@group(0) @binding(3) var<storage, read_write> counts: array<u32>;
@group(0) @binding(4) var<storage, read_write> offsets: array<u32>;
@group(0) @binding(5) var<storage, read_write> dispatch_args: array<u32>;
@group(0) @binding(6) var<storage, read_write> rejected: array<u32>;

const MAX_WORKGROUPS: u32 = 65535u;     // in a dimension, by WebGPU's default limits

var<workgroup> rows_of: array<u32, INVOCATIONS>;
var<workgroup> hostile_of: array<u32, INVOCATIONS>;
var<workgroup> first_of: array<u32, INVOCATIONS>;

fn rounded(count: u32) -> u32 { return (count + params.block - 1u) / params.block * params.block; }

@compute @workgroup_size(INVOCATIONS)
fn main(@builtin(local_invocation_index) lane: u32) {
    let share = (params.experts + INVOCATIONS - 1u) / INVOCATIONS;
    let start = min(lane * share, params.experts);
    let end = min(start + share, params.experts);
    var rows = 0u;
    for (var expert = start; expert < end; expert++) { rows += rounded(kept(expert)); }
    var count = 0u;
    var first = NO_ROW;
    for (var tile = lane; tile < params.tiles; tile += INVOCATIONS) {
        count += hostile[2u * tile];
        first = min(first, hostile[2u * tile + 1u]);
    }
    rows_of[lane] = rows;
    hostile_of[lane] = count;
    first_of[lane] = first;
    workgroupBarrier();
    var next = 0u;
    for (var other = 0u; other < lane; other++) { next += rows_of[other]; }
    for (var expert = start; expert < end; expert++) {
        counts[expert] = counted(expert);
        offsets[expert] = next;
        next += rounded(kept(expert));
    }
    if lane == INVOCATIONS - 1u { conclude(next); }
}

// What the last invocation knows: all rows lie before its end.
fn conclude(rows: u32) {
    offsets[params.experts] = rows;
    let blocks = rows / params.block;
    let folded = max((blocks + MAX_WORKGROUPS - 1u) / MAX_WORKGROUPS, 1u);
    dispatch_args[0] = (blocks + folded - 1u) / folded;
    dispatch_args[1] = folded;
    dispatch_args[2] = 1u;
    var count = 0u;
    var first = NO_ROW;
    for (var other = 0u; other < INVOCATIONS; other++) {
        count += hostile_of[other];
        first = min(first, first_of[other]);
    }
    rejected[0] = count;
    rejected[1] = first;
}
