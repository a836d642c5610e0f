// Slot logit_bias: the order of x = a, exactly.
fn biased(bits: u32, expert: u32) -> u32 { return order_of_bits(bits); }
