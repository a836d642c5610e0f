// Slot load: rows of queries whose widths are multiples of 4, read as vec4. A row is known by its first vec4. Positions beyond a sequence
// stand for its last row, dims beyond the width for the last four.
@group(0) @binding(3) var<storage, read> q: array<vec4<Elem>>;
@group(0) @binding(6) var<storage, read> d_o: array<vec4<Elem>>;

fn last_q(i: u32) -> u32 { return min(i, max(at.len_q, 1u) - 1u); }

fn q_row(i: u32) -> u32 { return ((at.q_row + last_q(i) * at.q_step) * params.head_dim + params.q_shift) / 4u; }
fn d_o_row(i: u32) -> u32 { return ((at.q_row + last_q(i) * at.q_step) * params.val_dim + params.o_shift) / 4u; }

// From a row to the next of its sequence.
fn q_next() -> u32 { return at.q_step * (params.head_dim / 4u); }
fn d_o_next() -> u32 { return at.q_step * (params.val_dim / 4u); }

// Dims 4·d4 .. of the row that begins `skip` after `row`.
fn q4(row: u32, skip: u32, d4: u32) -> vec4<f32> { return vec4<f32>(q[row + min(d4, params.head_dim / 4u - 1u) + skip]); }
fn d_o4(row: u32, skip: u32, d4: u32) -> vec4<f32> { return vec4<f32>(d_o[row + min(d4, params.val_dim / 4u - 1u) + skip]); }
