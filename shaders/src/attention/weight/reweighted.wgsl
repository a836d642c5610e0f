// Slot weight: P = u^POWER/R of a measured weight u = max(φ(z) - cut, 0)·|scale|, and its gradient φ'(z)·|scale|·(h - level) with
// h = POWER·u^(POWER - 1)·(dP - delta)/R. A row's measures, 1/R, delta and level were left in side.
struct RowStatistics {
    measures: vec2<f32>,   // cut, scale
    share: f32,
    delta: f32,
    level: f32,            // offset/N·Σ_j h_j: every weight has a part in the mean
}

fn statistics_row(i: u32) -> u32 { return select(0u, at.stat_row + i, i < at.len_q); }

// What levels are formed from: all but the level, which others are writing meanwhile.
fn measured_statistics(i: u32) -> RowStatistics {
    let row = statistics_row(i);
    return RowStatistics(kept_measures(i), side_f32(params.lse_at + row), side_f32(params.delta_at + row), 0.0);
}
fn row_statistics(i: u32) -> RowStatistics {
    var statistics = measured_statistics(i);
    statistics.level = side_f32(params.levels_at + statistics_row(i));
    return statistics;
}
fn weight_seen(z: f32, statistics: RowStatistics) -> f32 {
    return raised4(phi4(vec4(z)), statistics.measures).x * statistics.share;
}
fn weight(z: f32, statistics: RowStatistics) -> f32 {
    return select(weight_seen(select(z, 0.0, is_hidden(z)), statistics), 0.0, is_hidden(z));
}

// h: the gradient of u. An even row's weights are u.
fn measured_gradient(z: f32, d_p: f32, statistics: RowStatistics) -> f32 {
    let u = measured4(phi4(vec4(select(z, 0.0, is_hidden(z)))), statistics.measures);
    let slope = select(0.0, f32(POWER) * power4(u, POWER - 1u).x, u.x > 0.0);
    return select(slope, 1.0, statistics.measures.y < 0.0) * (d_p - statistics.delta) * statistics.share;
}
fn weight_gradient(z: f32, p: f32, d_p: f32, statistics: RowStatistics) -> f32 {
    let slope = phi_slope4(vec4(select(z, 0.0, is_hidden(z)))).x * abs(statistics.measures.y);
    return slope * (measured_gradient(z, d_p, statistics) - statistics.level);
}
