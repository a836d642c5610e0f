// Slot access: queries are own.
const Q: u32 = 0u;

fn own_len() -> u32 { return at.len_q; }
fn own_row(operand: u32, i: u32) -> u32 { return q_row(i); }
fn own_next(operand: u32) -> u32 { return q_next(); }
fn own4(operand: u32, row: u32, skip: u32, d4: u32) -> vec4<f32> { return q4(row, skip, d4); }
