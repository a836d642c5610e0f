// Slot statistic: the largest x of the token's experts, and Σ exp((x - peak)/τ).
struct Stat {
    peak: f32,      // halved
    total: f32,     // 1 or more
    any: bool,      // there is an expert that is not masked
}

fn measure() -> Stat {
    var top = MASKED;
    for (var e = lane; e < params.experts; e += LANES) { top = max(top, order_at(e)); }
    top = max_over_lanes(top);
    let any = top != MASKED;
    let peak = 0.5 * value_of(select(0x80000000u, top, any));
    var sum = 0.0;
    for (var e = lane; e < params.experts; e += LANES) {
        let order = order_at(e);
        if order != MASKED { sum += exp_of(0.5 * value_of(order) - peak); }
    }
    return Stat(peak, max(sum_over_lanes(sum), 1.0), any);
}
// softmax(z) of an expert that is not masked.
fn share_of(order: u32, stat: Stat) -> f32 { return exp_of(0.5 * value_of(order) - stat.peak) / stat.total; }
