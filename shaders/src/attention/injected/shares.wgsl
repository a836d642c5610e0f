// Shares of what is mixed: σ(logit) and 1 - σ(logit). No exponential overflows.
fn shares_of(logit: f32) -> vec2<f32> {
    let e = exp(-abs(logit));
    let pair = vec2(1.0, e) / (1.0 + e);
    return select(pair, pair.yx, logit < 0.0);
}
