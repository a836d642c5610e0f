// Slot place: the output before the injection is written over, in the last row of each sequence and head.
fn before(e: u32) -> f32 { return f32(y[e]); }
fn row_taken(n: u32) -> Row {
    if n >= params.batch * params.q_heads { return Row(0u, 0u, 0u, false, false); }
    enter(n / params.q_heads, n % params.q_heads);
    if at.len_q == 0u { return Row(0u, 0u, 0u, false, false); }
    return row_of(at.len_q - 1u);
}
