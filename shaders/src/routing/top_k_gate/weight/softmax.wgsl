// Slot weight: exp((x - peak)/τ) over the chosen, to be divided by their sum.
fn slots_peak() -> f32 {
    var top = MASKED;
    for (var j = 0u; j < params.top_k; j++) { top = max(top, slot_order[seat * SLOTS + j]); }
    return 0.5 * value_of(select(0x80000000u, top, top != MASKED));
}
fn weigh(order: u32, peak: f32, stat: Stat) -> f32 { return exp_of(0.5 * value_of(order) - peak); }
fn slot_gradient(w: f32, d_w: f32) -> f32 { return w * d_w; }
fn of_score(gradient: f32) -> f32 { return 0.0; }
fn of_logit(gradient: f32) -> f32 { return gradient; }
