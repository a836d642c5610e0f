// Slot sum: sums[block, e] ← Σ_t p_te. A token's numbers: half its largest logit, and 1/Σ exp, or 0 if it does not count, or BROKEN.
const BROKEN: f32 = -1.0;

fn weight_of(e: u32) -> f32 { return 0.0; }

fn numbers_of(row: Row, live: bool) -> vec2<f32> {
    if row.broken { return vec2(0.0, BROKEN); }
    if row.total > 0.0 { return vec2(row.half_peak, 1.0 / row.total); }
    return vec2(0.0);
}

fn sum_block(block: u32, invocation: u32) {
    for (var e = invocation; e < params.experts; e += INVOCATIONS) {
        var sum = 0.0;
        var broken = false;
        for (var own = 0u; own < ROWS; own++) {
            let number = numbers[own];
            if number.y > 0.0 { sum += share(f32(logits[min(block * ROWS + own, params.tokens - 1u) * params.experts + e]), number.x) * number.y; }
            broken = broken | (number.y < 0.0);
        }
        sums[block * params.experts + e] = select(sum, bitcast<f32>(params.nan), broken);
    }
}
