// Slot carry: one dispatch adds all terms.
fn resume(state: u32, acc: ptr<function, Sums>) {}
fn suspend(state: u32, acc: ptr<function, Sums>) -> bool { return false; }
