// Slot access of gradients by key: keys and values are own, queries and their upstream gradients stream.
const Q: u32 = 0u;
const D_O: u32 = 1u;
const K: u32 = 2u;
const V: u32 = 3u;

fn own_len() -> u32 { return at.len_kv; }
fn own_row(operand: u32, j: u32) -> u32 {
    if operand == K { return k_row(j); }
    return v_row(j);
}
fn own_next(operand: u32) -> u32 {
    if operand == K { return k_next(); }
    return v_next();
}
fn own4(operand: u32, row: u32, skip: u32, d4: u32) -> vec4<f32> {
    if operand == K { return k4(row, skip, d4); }
    return v4(row, skip, d4);
}

fn stream_len() -> u32 { return at.len_q; }
fn stream_row(operand: u32, i: u32) -> u32 {
    if operand == Q { return q_row(i); }
    return d_o_row(i);
}
fn stream_next(operand: u32) -> u32 {
    if operand == Q { return q_next(); }
    return d_o_next();
}
fn stream4(operand: u32, row: u32, skip: u32, d4: u32) -> vec4<f32> {
    if operand == Q { return q4(row, skip, d4); }
    return d_o4(row, skip, d4);
}
