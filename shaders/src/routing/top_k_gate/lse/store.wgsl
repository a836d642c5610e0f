// Slot lse: an output, ln Σ exp z.
@group(0) @binding(6) var<storage, read_write> lse: array<u32>;
fn store_lse(stat: Stat) {
    let value = 2.0 * cooled(stat.peak, temperature()) + log(stat.total);
    lse[token] = select(params.minus_infinity, bitcast<u32>(value), stat.any);
}
