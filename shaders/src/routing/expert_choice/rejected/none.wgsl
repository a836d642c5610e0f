// Slot rejected: a NaN is what its expert does not take.
fn reject(at: u32) { }
