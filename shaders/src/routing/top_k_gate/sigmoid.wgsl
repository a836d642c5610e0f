// σ(z) by the sign of z: no exponential overflows.
fn sigmoid(z: f32) -> f32 {
    let t = exp(-min(abs(z), 200.0));
    return select(t, 1.0, z >= 0.0) / (1.0 + t);
}
