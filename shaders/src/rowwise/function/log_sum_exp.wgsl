// Slot function: y = max + ln Σ; minus infinity for a row without weight.
fn conclude(row: Row, stat: Stat) -> Stat { return stat; }

fn value_bits(stat: Stat) -> u32 {
    let finite = 2.0 * stat.top + log(max(stat.sum, 0.5));
    let bits = select(bitcast<u32>(finite), params.minus_infinity, stat.sum == 0.0);
    return select(bits, params.nan, is_bad(stat));
}
