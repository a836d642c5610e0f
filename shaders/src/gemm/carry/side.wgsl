// Slot carry: the terms are cut into several dispatches; sums wait in side meanwhile, each invocation's own quads at `state`.
fn resume(state: u32, acc: ptr<function, Sums>) {
    if begins() { return; }
    for (var i = 0u; i < SUMS; i++) { // unroll
        (*acc)[i] = bitcast<vec4<f32>>(side[state + i]);
    }
}
// Whether there are terms to come.
fn suspend(state: u32, acc: ptr<function, Sums>) -> bool {
    if ends() { return false; }
    for (var i = 0u; i < SUMS; i++) { // unroll
        side[state + i] = bitcast<vec4<u32>>((*acc)[i]);
    }
    return true;
}
