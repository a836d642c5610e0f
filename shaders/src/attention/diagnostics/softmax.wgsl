// Slot mass: softmax. Masses are relative to a row's largest score, the sink's among them: exp(z - level).
const LOWEST: f32 = -LIMIT;
const LEAST: f32 = -100.0;      // of half a difference: halves, so that none overflows; exp of the whole is 0
const SMALLEST: f32 = 1e-37;

fn level_start(i: u32) -> f32 { return sink_of(i); }
fn level(z: f32) -> f32 { return z; }
fn half_difference(z: f32, relative_to: f32) -> f32 { return max(0.5 * z - 0.5 * relative_to, LEAST); }
fn mass(z: f32, relative_to: f32) -> f32 { return exp(2.0 * half_difference(z, relative_to)); }
fn surprise(z: f32, relative_to: f32) -> f32 { return -2.0 * half_difference(z, relative_to); }    // -ln mass
fn sink_mass(i: u32, relative_to: f32) -> f32 {
    let sink = sink_of(i);
    return select(mass(sink, relative_to), 0.0, is_hidden(sink));
}
