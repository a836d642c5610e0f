// Slot softcap: c·tanh(s/c).
fn cap(s: f32) -> f32 { return params.softcap * tanh_of(s / params.softcap); }
// d cap / d s = 1 - (capped/c)²
fn cap_gradient(capped: f32) -> f32 {
    let x = capped / params.softcap;
    return (1.0 - x) * (1.0 + x);
}
