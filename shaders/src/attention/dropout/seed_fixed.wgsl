// Slot seed: the plan's.
fn seed() -> vec2<u32> { return vec2(params.seed_low, params.seed_high); }
