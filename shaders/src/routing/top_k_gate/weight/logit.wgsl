// Slot weight: z.
fn slots_peak() -> f32 { return 0.0; }
fn weigh(order: u32, peak: f32, stat: Stat) -> f32 { return cooled(value_of(order), temperature()); }
fn slot_gradient(w: f32, d_w: f32) -> f32 { return d_w; }
fn of_score(gradient: f32) -> f32 { return 0.0; }
fn of_logit(gradient: f32) -> f32 { return gradient; }
