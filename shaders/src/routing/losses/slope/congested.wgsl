// Slot slope: w - Σ p w, for a loss that grows with the probabilities by the experts' weights.
@group(0) @binding(4) var<storage, read> weights: array<f32>;

fn weight_of(e: u32) -> f32 { return weights[e]; }
fn middle_of(row: Row, share_of: f32) -> f32 { return row.dot * share_of; }
fn is_lost(row: Row) -> bool { return false; }
fn slope(e: u32, middle: f32) -> f32 { return weights[e] - middle; }
