// Slot sum: sums[block] ← (Σ_t lse_t², tokens that count). A token's numbers: log-sum-exp, and 1, or 0 if it does not count, or BROKEN.
const BROKEN: f32 = -1.0;

fn weight_of(e: u32) -> f32 { return 0.0; }

fn numbers_of(row: Row, live: bool) -> vec2<f32> {
    if !live { return vec2(0.0); }
    if row.broken | (row.total == 0.0) { return vec2(0.0, BROKEN); }
    return vec2(2.0 * row.half_peak + log(row.total), 1.0);
}

fn sum_block(block: u32, invocation: u32) {
    if invocation > 0u { return; }
    var sum = 0.0;
    var count = 0.0;
    var broken = false;
    for (var own = 0u; own < ROWS; own++) {
        let number = numbers[own];
        sum += number.x * number.x;
        count += abs(number.y);
        broken = broken | (number.y < 0.0);
    }
    sums[2u * block] = select(sum, bitcast<f32>(params.nan), broken);
    sums[2u * block + 1u] = count;
}
