// mutant: accumulators are lost between two dispatches
// of: attention/carry/side.wgsl
// Slot carry: the stream is cut into several dispatches (an invocation's loop trips are limited); accumulators wait in side meanwhile,
// each invocation's own words at `words`.
fn resume(words: u32, acc: ptr<function, Accumulator>) {
    for (var w = 0u; w < ACCUMULATORS; w++) { // unroll
        for (var e = 0u; e < 4u; e++) { // unroll
            (*acc)[w][e] = 0.0;
        }
    }
}
fn suspend(words: u32, acc: ptr<function, Accumulator>) {
    for (var w = 0u; w < ACCUMULATORS; w++) { // unroll
        for (var e = 0u; e < 4u; e++) { // unroll
            side[words + w * 4u + e] = bitcast<u32>((*acc)[w][e]);
        }
    }
}
