// Slot seed: the plan's, xor the call's.
fn seed() -> vec2<u32> {
    return vec2(params.seed_low, params.seed_high) ^ vec2(side[params.dropout_seed_at], side[params.dropout_seed_at + 1u]);
}
