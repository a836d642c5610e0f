// Slot gate: a number per query and head, head by head where rows are packed.
@group(0) @binding(20) var<storage, read> gate: array<f32>;
fn gate_of(row: u32, d: u32) -> f32 {
    let packed = row % params.q_heads * params.total_q + row / params.q_heads;
    return gate[select(row, packed, params.packed_rows == 1u)];
}
