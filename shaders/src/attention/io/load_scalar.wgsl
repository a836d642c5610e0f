// Slot load: rows of queries of any width, read one element at a time. A row is known by its first element. Positions beyond a sequence stand
// for its last row; dims beyond the width are 0.
@group(0) @binding(3) var<storage, read> q: array<Elem>;
@group(0) @binding(6) var<storage, read> d_o: array<Elem>;

fn last_q(i: u32) -> u32 { return min(i, max(at.len_q, 1u) - 1u); }

fn q_row(i: u32) -> u32 { return (at.q_row + last_q(i) * at.q_step) * params.head_dim + params.q_shift; }
fn d_o_row(i: u32) -> u32 { return (at.q_row + last_q(i) * at.q_step) * params.val_dim + params.o_shift; }

// From a row to the next of its sequence.
fn q_next() -> u32 { return at.q_step * params.head_dim; }
fn d_o_next() -> u32 { return at.q_step * params.val_dim; }

// Which of the dims 4·d4 .. 4·d4+3 exist, and where they are read (the last one stands in for those that do not).
fn dims(d4: u32) -> vec4<u32> { return vec4(d4 * 4u) + vec4(0u, 1u, 2u, 3u); }

// Dims 4·d4 .. of the row that begins `skip` after `row`.
fn q4(row: u32, skip: u32, d4: u32) -> vec4<f32> {
    let d = dims(d4);
    let e = vec4(row + skip) + min(d, vec4(params.head_dim - 1u));
    return select(vec4(0.0), vec4<f32>(f32(q[e.x]), f32(q[e.y]), f32(q[e.z]), f32(q[e.w])), d < vec4(params.head_dim));
}
fn d_o4(row: u32, skip: u32, d4: u32) -> vec4<f32> {
    let d = dims(d4);
    let e = vec4(row + skip) + min(d, vec4(params.val_dim - 1u));
    return select(vec4(0.0), vec4<f32>(f32(d_o[e.x]), f32(d_o[e.y]), f32(d_o[e.z]), f32(d_o[e.w])), d < vec4(params.val_dim));
}
