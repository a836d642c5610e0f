// Slot lse: not an output.
fn store_lse(stat: Stat) {}
