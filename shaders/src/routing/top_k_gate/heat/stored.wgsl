// Slot heat: a token's part of the temperature's gradient, -Σ d_z·x/τ². Every invocation must call it.
fn store_heat(own: f32, exists: bool, broken: bool) {
    let t = temperature();
    let value = -sum_over_lanes(own) / t / t;
    if exists & (lane == 0u) { terms[token * params.stride + params.heat_at] = select(value, bitcast<f32>(params.nan), broken); }
}
