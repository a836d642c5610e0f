// Slot access: keys and values stream.
const K: u32 = 2u;
const V: u32 = 3u;

fn stream_len() -> u32 { return keys_in_order(); }
fn stream_row(operand: u32, j: u32) -> u32 {
    if operand == K { return k_row(j); }
    return v_row(j);
}
fn stream_next(operand: u32) -> u32 {
    if operand == K { return k_next(); }
    return v_next();
}
fn stream4(operand: u32, row: u32, skip: u32, d4: u32) -> vec4<f32> {
    if operand == K { return k4(row, skip, d4); }
    return v4(row, skip, d4);
}
