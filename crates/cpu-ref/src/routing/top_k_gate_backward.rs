//! The gate's gradient, formula by formula.

use gatefold_core::routing::{ELSEWHERE, GateActivation, GateWeight, LOGIT_LIMIT, NO_EXPERT, Score};
use gatefold_core::{Dtype, Tensor, Tensors, TopKGate, TopKGateBackward};

use super::top_k_gate::{Token, activation_slope, divided, divisor, sigmoid};
use super::top_k_gate_cases;
use crate::real::Accumulator;
use crate::{Case, Real, Reference, Values, outputs};

/// A token's upstream gradients.
struct Upstream<'a, R> {
    /// Of slots whose expert is here, else 0.
    slots: Vec<R>,
    scores: Option<&'a [R]>,
    lse: Option<R>,
}

impl<R: Real> Upstream<'_, R> {
    fn is_broken(&self, token: &Token<'_, R>) -> bool {
        let live = |e: &usize| token.x[*e].is_some();
        let of_scores = self.scores.map(|s| (0..s.len()).filter(live).any(|e| !s[e].value().is_finite()));
        let of_lse = self.lse.filter(|_| token.shares.is_some()).is_some_and(|g| !g.value().is_finite());
        self.slots.iter().any(|g| !g.value().is_finite()) || of_scores.unwrap_or(false) || of_lse
    }
}

/// The gradients that slots leave on their experts: of the score, and of `z`.
fn of_slots<R: Real>(token: &Token<'_, R>, chosen: &[Option<usize>], upstream: &[R]) -> [Vec<R>; 2] {
    let (op, zero, one) = (token.op, R::from_f64(0.0), R::from_f64(1.0));
    let scale = R::from_f64(f64::from(op.scale));
    let raw = token.raw_weights(chosen);
    let scaled = |g: R| if op.scale == 1.0 { g } else { scale * g };
    let (mut d_p, mut d_z) = (vec![zero; op.experts], vec![zero; op.experts]);
    let softmax = op.weighs_by_selected_softmax();
    let divisor = divisor(op, &raw);
    let mut sum = R::Sum::default();
    for (&w, &g) in raw.iter().zip(upstream) {
        sum.add_product(divisor.map_or(w, |s| divided(w, s)), g);
    }
    let mean = if softmax || divisor.is_some() { sum.total() } else { zero };
    for ((slot, &w), &g) in chosen.iter().zip(&raw).zip(upstream) {
        let Some(e) = *slot else { continue };
        let apart = scaled(g - mean);
        let d_w = divisor.map_or(apart, |s| divided(apart, s));
        match op.weight {
            _ if softmax => d_z[e] = d_z[e] + w * d_w,
            GateWeight::SelectedSigmoid => d_z[e] = d_z[e] + d_w * (w * (one - w)),
            GateWeight::Logit => d_z[e] = d_z[e] + d_w,
            _ => d_p[e] = d_p[e] + d_w,
        }
    }
    [d_p, d_z]
}

/// `d_z` through the scores.
fn of_scores<R: Real>(token: &Token<'_, R>, d_p: &[R]) -> Vec<R> {
    let one = R::from_f64(1.0);
    let mean = R::dot(&token.p, d_p);
    let each = |(e, (&p, &g)): (usize, (&R, &R))| match (token.op.score, token.x[e]) {
        (_, None) => R::from_f64(0.0),
        (Score::Identity, _) => g,
        (Score::Softmax, _) => p * (g - mean),
        (Score::Sigmoid, _) => g * (p * (one - p)),
        (Score::SqrtSoftplus, _) if p.value() == 0.0 => R::from_f64(0.0),
        (Score::SqrtSoftplus, Some(x)) => g * (sigmoid(token.cooled(x)) / (p + p)),
    };
    token.p.iter().zip(d_p).enumerate().map(each).collect()
}

/// Gradients of a token: of every `x`, and its term of the temperature's; none if one of its upstream gradients is not finite.
fn gradients<R: Real>(
    token: &Token<'_, R>,
    chosen: &[Option<usize>],
    upstream: &Upstream<'_, R>,
) -> Option<(Vec<R>, R)> {
    if upstream.is_broken(token) {
        return None;
    }
    let zero = R::from_f64(0.0);
    let [mut d_p, of_weights] = of_slots(token, chosen, &upstream.slots);
    if let Some(scores) = upstream.scores {
        for (e, d) in d_p.iter_mut().enumerate().filter(|(e, _)| token.x[*e].is_some()) {
            *d = *d + scores[e];
        }
    }
    let mut d_z = of_scores(token, &d_p);
    for (e, d) in d_z.iter_mut().enumerate() {
        *d = *d + of_weights[e];
        if let (Some(g), Some((shares, _))) = (upstream.lse, &token.shares) {
            *d = *d + g * shares[e];
        }
    }
    let Some(temperature) = token.temperature else { return Some((d_z, zero)) };
    let x: Vec<R> = token.x.iter().map(|x| x.unwrap_or(zero)).collect();
    let heat = -(R::dot(&d_z, &x) / temperature / temperature);
    Some((d_z.into_iter().map(|d| d / temperature).collect(), heat))
}

/// The expert of an index that names one.
fn expert_of(op: &TopKGate, index: u32) -> Option<usize> {
    let e = (index & !ELSEWHERE) as usize;
    (e < op.experts).then_some(e)
}

/// The upstream gradients of token `t`, and its chosen.
fn upstream_of<'a, R: Real>(
    op: &TopKGateBackward,
    inputs: &'a Values<R>,
    token: &Token<'_, R>,
    t: usize,
) -> (Vec<Option<usize>>, Upstream<'a, R>) {
    let f = &op.forward;
    let slots = t * f.top_k..(t + 1) * f.top_k;
    let indices = &inputs.int("indices")[slots.clone()];
    let chosen: Vec<_> = indices.iter().map(|&i| expert_of(f, i).filter(|&e| token.x[e].is_some())).collect();
    let zero = R::from_f64(0.0);
    let here = |(n, g): (usize, &R)| if chosen[n].is_some() && indices[n] < NO_EXPERT { *g } else { zero };
    let slots = inputs.float("d_weights")[slots].iter().enumerate().map(here).collect();
    let scores = op.d_scores.then(|| &inputs.float("d_scores")[t * f.experts..(t + 1) * f.experts]);
    let lse = op.d_lse.then(|| inputs.float("d_lse")[t]);
    (chosen, Upstream { slots, scores, lse })
}

impl Reference for TopKGateBackward {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let f = &self.forward;
        let mut d_logits = Vec::with_capacity(f.tokens * f.experts);
        let mut d_bias = vec![R::Sum::default(); f.experts];
        let mut d_temperature = R::Sum::default();
        for t in 0..f.tokens {
            let token = Token::new(f, inputs, t);
            let (chosen, upstream) = upstream_of(self, inputs, &token, t);
            let found = gradients(&token, &chosen, &upstream);
            let (d_x, heat) = found.unwrap_or_else(|| (vec![R::nan(); f.experts], R::nan()));
            for (e, &d) in d_x.iter().enumerate() {
                d_bias[e].add(d);
                let logit = inputs.float("logits")[t * f.experts + e];
                let slope = || activation_slope(f.activation, logit.clamp(f64::from(LOGIT_LIMIT)));
                // a NaN of the token's stays one
                let plain = token.x[e].is_none() || f.activation == GateActivation::None || d.value().is_nan();
                d_logits.push(if plain { d } else { d * slope() });
            }
            d_temperature.add(heat);
        }
        let mut outputs = Values { floats: [("d_logits".to_string(), d_logits)].into(), ..Values::default() };
        if f.logit_bias {
            outputs.floats.insert("d_logit_bias".into(), d_bias.iter().map(Accumulator::total).collect());
        }
        if f.temperature {
            outputs.floats.insert("d_temperature".into(), vec![d_temperature.total()]);
        }
        outputs
    }

    fn case(seed: u64) -> Case<Self> {
        top_k_gate_cases::backward(seed)
    }

    const PLANNED: u64 = top_k_gate_cases::PLANNED;

    /// Chooses experts as the gate does; without a bias for selection where none is given.
    fn complete(&self, mut inputs: Tensors) -> Tensors {
        let f = &self.forward;
        let mut given = inputs.clone();
        if f.selection_bias && given.get("selection_bias").is_none() {
            let zeros = Tensor::float(Dtype::F32, [f.experts], vec![0.0; f.experts]);
            given.insert("selection_bias", zeros.unwrap_or_default());
        }
        inputs.insert("indices", outputs(f, &given)["indices"].clone());
        inputs.take("selection_bias");
        inputs
    }
}
