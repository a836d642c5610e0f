// Slot: sizes of a plan, and what an index means.
const NO_EXPERT: u32 = 0x7fffffffu;
const NO_ROW: u32 = 0x7fffffffu;
const ELSEWHERE: u32 = 0x80000000u;

struct Params {
    first: u32,         // invocation of this dispatch
    end: u32,
    group_count: u32,
    assignments: u32,
    experts: u32,
    columns: u32,       // of counts: KINDS for each expert
    tile: u32,          // assignments of a tile, a multiple of INVOCATIONS
    tiles: u32,
    run: u32,           // tiles whose counts one invocation adds up
    lines: u32,         // lines of `partials`
    capacity: u32,
    rows: u32,
    block: u32,         // at least 1
}
@group(0) @binding(0) var<uniform> params: Params;

// Whether an index that is no expert's is a mistake.
fn is_hostile(index: u32) -> bool {
    return (index >= params.experts) & (index != NO_EXPERT) & ((index & ELSEWHERE) == 0u);
}
