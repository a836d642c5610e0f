// Slot access: keys and values stream, from pages: no row follows another at a fixed distance, so each is looked up, as at the end of a
// sequence.
const K: u32 = 2u;
const V: u32 = 3u;

fn stream_len() -> u32 { return 0u; }
fn stream_row(operand: u32, j: u32) -> u32 {
    if operand == K { return k_row(j); }
    return v_row(j);
}
fn stream_next(operand: u32) -> u32 { return 0u; }
fn stream4(operand: u32, row: u32, skip: u32, d4: u32) -> vec4<f32> {
    if operand == K { return k4(row, skip, d4); }
    return v4(row, skip, d4);
}
