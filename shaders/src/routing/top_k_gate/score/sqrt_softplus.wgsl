// Slot score: p = √ln(1 + exp z) = √(max(z, 0) + ln(1 + t)), t = exp(-|z|); p' = σ(z)/(2p).
// ln(1 + t) = 2·atanh(x), x = t/(2 + t) ≤ 1/3: a series of positive terms that fall by 9, where WGSL's logarithm near 1 is not good enough.
// Below FAR both are exp z but for 10⁻⁹, which is lost before its root is: p = exp(z/2), p' = p/2.
const FAR: f32 = -20.0;

fn score(order: u32, stat: Stat) -> f32 {
    let z = cooled(value_of(order), temperature());
    let t = exp(-min(abs(z), 200.0));
    let x = t / (2.0 + t);
    let y = x * x;
    let series = 1.0 + y * (0.33333334 + y * (0.2 + y * (0.14285715 + y * (0.11111111 + y * (0.09090909 + y * 0.07692308)))));
    return select(sqrt(max(z, 0.0) + 2.0 * x * series), exp(0.5 * max(min(z, 0.0), -400.0)), z < FAR);
}
fn level_of(own: f32) -> f32 { return 0.0; }
fn score_gradient(x: f32, p: f32, d_p: f32, level: f32) -> f32 {
    let z = cooled(x, temperature());
    if z < FAR { return d_p * (0.5 * p); }
    return d_p * (sigmoid(z) / (p + p));
}
