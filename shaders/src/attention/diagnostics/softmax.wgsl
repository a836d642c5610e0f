// Slot mass: softmax. Masses are relative to a row's largest score, the sink's among them: exp(z - level).
const LOWEST: f32 = -LIMIT;
const LEAST: f32 = -100.0;      // of half a difference: halves, so that none overflows; exp of the whole is 0
const SMALLEST: f32 = 1e-37;

fn sink() -> f32 {
    let there = params.sink_at != ABSENT;
    let given = side_f32(select(0u, params.sink_at + at.q_head, there));
    return select(HIDDEN, clamp(given, -LIMIT, LIMIT), there);
}
fn level_start() -> f32 { return sink(); }
fn level(z: f32) -> f32 { return z; }
fn half_difference(z: f32, relative_to: f32) -> f32 { return max(0.5 * z - 0.5 * relative_to, LEAST); }
fn mass(z: f32, relative_to: f32) -> f32 { return exp(2.0 * half_difference(z, relative_to)); }
fn surprise(z: f32, relative_to: f32) -> f32 { return -2.0 * half_difference(z, relative_to); }    // -ln mass
fn sink_mass(relative_to: f32) -> f32 {
    let there = params.sink_at != ABSENT;
    return select(0.0, mass(select(0.0, sink(), there), relative_to), there);
}
