// Slot carry of matrix tiles: one dispatch sees all stream positions.
fn resume(words: u32, acc: ptr<function, Accumulator>) {}
fn suspend(words: u32, acc: ptr<function, Accumulator>) {}
