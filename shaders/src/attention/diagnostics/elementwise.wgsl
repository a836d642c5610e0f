// Slot mass: weights that are functions of their own score (slot phi). Masses are relative to the row's largest magnitude: |φ(z)| / level.
const SMALLEST: f32 = 1e-37;

fn level_start(i: u32) -> f32 { return 0.0; }
fn level(z: f32) -> f32 { return abs(phi4(vec4(z)).x); }
fn mass(z: f32, relative_to: f32) -> f32 {
    return select(0.0, min(level(z) / max(relative_to, SMALLEST), 1.0), relative_to > 0.0);
}
fn surprise(z: f32, relative_to: f32) -> f32 { return -log(max(mass(z, relative_to), SMALLEST)); }
fn sink_mass(i: u32, relative_to: f32) -> f32 { return 0.0; }
