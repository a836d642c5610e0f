// Slot access: queries, their slopes and their upstream gradients are own. Slot: load_slopes.
const Q: u32 = 0u;
const D_O: u32 = 1u;
const R: u32 = 4u;

fn own_len() -> u32 { return at.len_q; }
fn own_row(operand: u32, i: u32) -> u32 {
    if operand == Q { return q_row(i); }
    if operand == R { return r_row(i); }
    return d_o_row(i);
}
fn own_next(operand: u32) -> u32 {
    if operand == D_O { return d_o_next(); }
    return q_next();
}
fn own4(operand: u32, row: u32, skip: u32, d4: u32) -> vec4<f32> {
    if operand == Q { return q4(row, skip, d4); }
    if operand == R { return r4(row, skip, d4); }
    return d_o4(row, skip, d4);
}
