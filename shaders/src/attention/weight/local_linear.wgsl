// Slot weight of local-linear attention: P = exp(z - lse), the factor 1 - (r·k - c) that it counts with, and the gradients of the score and of r·k. A row's
// lse, delta - m, c and m, the means of r·k and of d_o·v, were left in side.
const LOWEST: f32 = -LIMIT;
const MOST_PRODUCT: f32 = 1.0e38;

struct RowStatistics {
    lse: f32,
    excess: f32,    // delta - m
    center: f32,    // c
    mean: f32,      // m
}

fn row_statistics(i: u32) -> RowStatistics {
    let row = at.stat_row + min(i, at.len_q - 1u);
    let word = params.means_at + row * 2u;
    return RowStatistics(side_f32(params.lse_at + row), side_f32(params.delta_at + row), side_f32(word), side_f32(word + 1u));
}
fn weight_seen(z: f32, statistics: RowStatistics) -> f32 { return exp(z - statistics.lse); }
fn weight(z: f32, statistics: RowStatistics) -> f32 {
    return select(weight_seen(z, statistics), 0.0, is_hidden(z));
}
fn tilted(product: f32, statistics: RowStatistics) -> f32 {
    return 1.0 - (clamp(product, -MOST_PRODUCT, MOST_PRODUCT) - statistics.center);
}
fn weight_gradient(p: f32, factor: f32, d_p: f32, statistics: RowStatistics) -> f32 {
    return p * (factor * (d_p - statistics.mean) - statistics.excess);
}
fn slope_gradient(p: f32, d_p: f32, statistics: RowStatistics) -> f32 {
    return p * (statistics.mean - d_p);
}
