// Slot score: p = softmax(z) over all experts.
fn score(order: u32, stat: Stat) -> f32 { return share_of(order, stat); }
fn level_of(own: f32) -> f32 { return sum_over_lanes(own); }       // Σ p·d_p
fn score_gradient(x: f32, p: f32, d_p: f32, level: f32) -> f32 { return p * (d_p - level); }
