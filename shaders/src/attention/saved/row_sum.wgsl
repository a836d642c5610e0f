// Slot saved: the forward pass left what the normaliser is formed from.
@group(0) @binding(8) var<storage, read> row_sum: array<f32>;
fn saved_sum(row: u32) -> f32 { return row_sum[row]; }
