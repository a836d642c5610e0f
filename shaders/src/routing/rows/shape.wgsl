// What the ops on rows of a plan share: their parameters, an invocation's place, and a test of bits. An invocation has a row, or every
// STEP-th quad of one: 2^lane_bits neighbours of a workgroup share a row, BLOCK quads each under way at once, and long rows are cut into pieces.
struct Params {
    first: u32,         // invocation of this dispatch
    end: u32,
    group_count: u32,   // workgroups with work; the grid may have more
    rows: u32,          // of what is written
    cols: u32,          // elements of a row
    quads: u32,         // of a row: 4 elements each, or a word each
    lane_bits: u32,
    pieces: u32,        // of a row
    piece_quads: u32,
    top_k: u32,
    legal: u32,         // entries below are legal
    nan: u32,           // bits
    limit: f32,
    alpha: f32,
}
@group(0) @binding(0) var<uniform> params: Params;

struct Place {
    row: u32,
    quad: u32,   // first of its own
    end: u32,    // of its row's piece
    step: u32,   // from one of its quads to the next
}

// The place of an invocation of a workgroup; a row beyond the last has no work.
fn place_of(group: u32, lane: u32) -> Place {
    let at = params.first / LANES + group;
    let step = 1u << params.lane_bits;
    let row = at / params.pieces * (LANES >> params.lane_bits) + (lane >> params.lane_bits);
    let piece = at % params.pieces * params.piece_quads;
    return Place(row, piece + (lane & (step - 1u)), min(piece + params.piece_quads, params.quads), step);
}

fn is_not_finite(x: vec4<f32>) -> vec4<bool> { return (bitcast<vec4<u32>>(x) & vec4(0x7f800000u)) == vec4(0x7f800000u); }
fn broken_where(is_broken: vec4<bool>, x: vec4<f32>) -> vec4<f32> { return select(x, vec4(bitcast<f32>(params.nan)), is_broken); }
