//! The gate from its definition: scores, ranking, weights.

use gatefold_core::TopKGate;
use gatefold_core::routing::{
    ELSEWHERE, GateActivation, GateWeight, GroupScore, LOGIT_LIMIT, NO_EXPERT, NO_ROW, NanLogits, Score,
};

use super::top_k_gate_cases;
use crate::{Case, Real, Reference, Values};

/// `σ(z)`, so written that no exponential overflows.
pub(super) fn sigmoid<R: Real>(z: R) -> R {
    let one = R::from_f64(1.0);
    let e = (-z.abs()).exp();
    // 2u more: a kernel may multiply by the reciprocal
    if z.value() < 0.0 { (e / (one + e)).charge(2.0) } else { one / (one + e) }
}

/// `√ln(1 + exp z)`.
fn sqrt_softplus<R: Real>(z: R) -> R {
    let softplus = if z.value() < 0.0 { z.exp().ln_1p() } else { z + (-z).exp().ln_1p() };
    softplus.sqrt()
}

/// `2√(2/π)·(l + 0.044715·l³)` of an `l` beyond which the sigmoid of it is 0 or 1.
fn gelu_argument<R: Real>(l: R) -> R {
    let x = l.clamp(GELU_REACH);
    R::from_f64(GELU_SLOPE) * (x + R::from_f64(GELU_CUBE) * (x * x * x))
}

const GELU_REACH: f64 = 50.0;
/// As kernels have them.
const GELU_SLOPE: f64 = 1.595_769_f32 as f64;
const GELU_CUBE: f64 = 0.044_715_f32 as f64;

fn activated<R: Real>(activation: GateActivation, l: R) -> R {
    match activation {
        GateActivation::None => l,
        GateActivation::Sigmoid => sigmoid(l),
        GateActivation::Tanh => l.tanh(),
        GateActivation::Gelu => l * sigmoid(gelu_argument(l)),
    }
}

/// Derivative of the activation.
pub(super) fn activation_slope<R: Real>(activation: GateActivation, l: R) -> R {
    let one = R::from_f64(1.0);
    match activation {
        GateActivation::None => one,
        GateActivation::Sigmoid => sigmoid(l) * (one - sigmoid(l)),
        GateActivation::Tanh => {
            let y = l.tanh();
            // a kernel may form (1 − y)·(1 + y)
            (one - y * y).charge(4.0)
        }
        GateActivation::Gelu => {
            let x = l.clamp(GELU_REACH);
            let s = sigmoid(gelu_argument(l));
            let slope = R::from_f64(GELU_SLOPE) * (one + R::from_f64(3.0 * GELU_CUBE) * (x * x)).charge(4.0);
            s + x * (s * (one - s)) * slope
        }
    }
}

/// `x` of an expert; none if it is masked.
pub(super) fn entry<R: Real>(op: &TopKGate, logit: R, bias: Option<R>) -> Option<R> {
    let masks = |x: R| x.value().is_nan() || x.value() == f64::NEG_INFINITY;
    if masks(logit) || bias.is_some_and(masks) {
        return None;
    }
    let limit = f64::from(LOGIT_LIMIT);
    let x = activated(op.activation, logit.clamp(limit));
    Some(bias.map_or(x, |b| (x + b.clamp(limit)).clamp(limit)))
}

/// Exponentials over the largest, and their sum.
pub(super) struct Softmax<R> {
    pub(super) exps: Vec<R>,
    pub(super) total: R,
    pub(super) lse: R,
}

/// The softmax of `x/τ`, from `(x − max x)/τ`.
pub(super) fn softmax<R: Real>(x: &[R], temperature: Option<R>) -> Softmax<R> {
    let mut apart = x.to_vec();
    let peak = R::center(&mut apart);
    let cooled = |x: R| temperature.map_or(x, |t| x / t);
    let exps: Vec<R> = apart.into_iter().map(|d| cooled(d).exp()).collect();
    let total = R::sum(exps.iter().copied());
    Softmax { lse: cooled(peak) + total.ln(), exps, total }
}

impl<R: Real> Softmax<R> {
    /// The `n`-th share. A kernel may multiply by a reciprocal.
    pub(super) fn share(&self, n: usize) -> R {
        (self.exps[n] / self.total).charge(2.0)
    }
}

/// A token's experts.
pub(super) struct Token<'a, R> {
    pub(super) op: &'a TopKGate,
    /// By expert; none where masked.
    pub(super) x: Vec<Option<R>>,
    /// By expert; 0 where masked.
    pub(super) p: Vec<R>,
    pub(super) temperature: Option<R>,
    /// `softmax(z)` by expert, and `ln Σ exp z`, unless all are masked.
    pub(super) shares: Option<(Vec<R>, R)>,
}

impl<'a, R: Real> Token<'a, R> {
    /// Token `t`.
    pub(super) fn new(op: &'a TopKGate, inputs: &Values<R>, t: usize) -> Self {
        let counts = inputs.int("token_mask").get(t).is_none_or(|&word| word != 0);
        let logits = &inputs.float("logits")[t * op.experts..(t + 1) * op.experts];
        let bias = inputs.float("logit_bias");
        let of = |(e, &l): (usize, &R)| if counts { entry(op, l, bias.get(e).copied()) } else { None };
        let temperature = inputs.float("temperature").first().copied();
        Self::of_entries(op, logits.iter().enumerate().map(of).collect(), temperature)
    }

    fn of_entries(op: &'a TopKGate, x: Vec<Option<R>>, temperature: Option<R>) -> Self {
        let zero = R::from_f64(0.0);
        let live: Vec<R> = x.iter().copied().flatten().collect();
        let shares = (!live.is_empty()).then(|| {
            let all = softmax(&live, temperature);
            let mut n = 0..;
            let by_expert = x.iter().map(|x| x.map_or(zero, |_| all.share(n.next().unwrap_or(0)))).collect();
            (by_expert, all.lse)
        });
        let mut token = Self { op, x, p: Vec::new(), temperature, shares };
        token.p = (0..op.experts).map(|e| token.score(e)).collect();
        token
    }

    /// `x/τ`.
    pub(super) fn cooled(&self, x: R) -> R {
        self.temperature.map_or(x, |t| (x / t).clamp(f64::from(LOGIT_LIMIT)))
    }

    fn score(&self, e: usize) -> R {
        let Some(x) = self.x[e] else { return R::from_f64(0.0) };
        match (self.op.score, &self.shares) {
            (Score::Softmax, Some((shares, _))) => shares[e],
            (Score::Softmax, None) => R::from_f64(0.0),
            (Score::Identity, _) => self.cooled(x),
            (Score::Sigmoid, _) => sigmoid(self.cooled(x)),
            (Score::SqrtSoftplus, _) => sqrt_softplus(self.cooled(x)),
        }
    }

    /// What experts are ranked by; none where they are not chosen.
    pub(super) fn ranks(&self, inputs: &Values<R>) -> Vec<Option<R>> {
        let bias = inputs.float("selection_bias");
        let by_score = |e: usize| match bias.get(e) {
            Some(b) if !b.value().is_finite() => None,
            Some(&b) => Some(self.p[e] + b),
            None => Some(self.p[e]),
        };
        let rank =
            |(e, x): (usize, &Option<R>)| x.and_then(|x| if self.op.ranks_by_score() { by_score(e) } else { Some(x) });
        self.x.iter().enumerate().map(rank).collect()
    }

    /// Weights of the chosen before threshold, normalisation and scale; 0 for an empty slot.
    pub(super) fn raw_weights(&self, chosen: &[Option<usize>]) -> Vec<R> {
        let zero = R::from_f64(0.0);
        let x = |e: usize| self.x[e].unwrap_or(zero);
        if self.op.weighs_by_selected_softmax() {
            let selected: Vec<R> = chosen.iter().flatten().map(|&e| x(e)).collect();
            if selected.is_empty() {
                return vec![zero; chosen.len()];
            }
            let all = softmax(&selected, self.temperature);
            let mut n = 0..;
            return chosen.iter().map(|c| c.map_or(zero, |_| all.share(n.next().unwrap_or(0)))).collect();
        }
        let weight = |e: usize| match self.op.weight {
            GateWeight::SelectedSigmoid => sigmoid(self.cooled(x(e))),
            GateWeight::Logit => self.cooled(x(e)),
            _ => self.p[e],
        };
        chosen.iter().map(|c| c.map_or(zero, weight)).collect()
    }
}

/// Places by value, descending; of equal ones the lower first; those without one last.
pub(super) fn by_rank<R: Real>(ranks: &[Option<R>]) -> Vec<usize> {
    let value = |&i: &usize| ranks[i].map_or(f64::NEG_INFINITY, |x| x.value());
    let mut order: Vec<usize> = (0..ranks.len()).collect();
    order.sort_by(|a, b| value(b).partial_cmp(&value(a)).unwrap_or(std::cmp::Ordering::Equal));
    order
}

/// The scores of groups; none where a group counts as `−∞`.
pub(super) fn group_scores<R: Real>(score: GroupScore, size: usize, ranks: &[Option<R>]) -> Vec<Option<R>> {
    let of_group = |members: &[Option<R>]| {
        let best: Option<Vec<R>> = by_rank(members).into_iter().take(score.terms()).map(|m| members[m]).collect();
        best.map(R::sum)
    };
    ranks.chunks(size).map(of_group).collect()
}

/// The chosen of a token, best first.
pub(super) fn choose<R: Real>(op: &TopKGate, ranks: &[Option<R>]) -> Vec<Option<usize>> {
    let mut ranks = ranks.to_vec();
    if let Some(g) = op.groups {
        let size = op.experts / g.groups;
        let scores = group_scores(g.score, size, &ranks);
        for group in by_rank(&scores).into_iter().skip(g.keep) {
            ranks[group * size..(group + 1) * size].fill(None);
        }
    }
    by_rank(&ranks).into_iter().take(op.top_k).map(|e| ranks[e].map(|_| e)).collect()
}

/// Weights and indices of a token.
fn slots<R: Real>(op: &TopKGate, token: &Token<'_, R>, mut chosen: Vec<Option<usize>>) -> (Vec<R>, Vec<u32>) {
    let zero = R::from_f64(0.0);
    let mut weights = token.raw_weights(&chosen);
    for (slot, w) in chosen.iter_mut().zip(&mut weights) {
        if op.threshold.is_some_and(|least| w.value() < f64::from(least)) {
            (*slot, *w) = (None, zero);
        }
    }
    if let Some(divisor) = divisor(op, &weights) {
        weights.iter_mut().for_each(|w| *w = divided(*w, divisor));
    }
    let here = op.expert_range.unwrap_or([0, op.experts]);
    let is_here = |e: usize| (here[0]..here[1]).contains(&e);
    let index = |slot: &Option<usize>| match *slot {
        None => NO_EXPERT,
        Some(e) => u32::try_from(e).unwrap_or(NO_EXPERT) | if is_here(e) { 0 } else { ELSEWHERE },
    };
    let scale = R::from_f64(f64::from(op.scale));
    let weigh = |(slot, &w): (&Option<usize>, &R)| match *slot {
        Some(e) if is_here(e) => {
            if op.scale == 1.0 {
                w
            } else {
                scale * w
            }
        }
        _ => zero,
    };
    (chosen.iter().zip(&weights).map(weigh).collect(), chosen.iter().map(index).collect())
}

/// `Σ w̃ + ε`, if weights are divided by it.
pub(super) fn divisor<R: Real>(op: &TopKGate, weights: &[R]) -> Option<R> {
    let epsilon = f64::from(op.divisor_epsilon()?);
    let sum = R::sum(weights.iter().copied());
    Some(if epsilon == 0.0 { sum } else { sum + R::from_f64(epsilon) })
}

/// `x/s`, 0 for a sum of 0. A kernel may multiply by the reciprocal.
pub(super) fn divided<R: Real>(x: R, s: R) -> R {
    if s.value() == 0.0 { s.share() } else { (x / s).charge(2.0) }
}

/// How many logits are NaN, and which is the first.
fn rejected<R: Real>(op: &TopKGate, inputs: &Values<R>) -> [f64; 2] {
    let mask = inputs.int("token_mask");
    let counts = |at: usize| mask.get(at / op.experts).is_none_or(|&word| word != 0);
    let nan = inputs.float("logits").iter().enumerate().filter(|(at, l)| l.value().is_nan() && counts(*at));
    let mut places = nan.map(|(at, _)| at);
    match places.next() {
        None => [0.0, f64::from(NO_ROW)],
        Some(first) => [1.0 + places.count() as f64, first as f64],
    }
}

impl Reference for TopKGate {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let mut outputs = Values::default();
        let [mut weights, mut indices, mut scores, mut lse] = [const { Vec::new() }; 4];
        for t in 0..self.tokens {
            let token = Token::new(self, inputs, t);
            let (w, i) = slots(self, &token, choose(self, &token.ranks(inputs)));
            weights.extend(w);
            indices.extend(i.into_iter().map(|i| R::from_f64(f64::from(i))));
            lse.push(token.shares.as_ref().map_or(R::from_f64(f64::NEG_INFINITY), |s| s.1));
            scores.extend(token.p);
        }
        outputs.floats.extend([("weights".to_string(), weights), ("indices".into(), indices)]);
        if self.scores {
            outputs.floats.insert("scores".into(), scores);
        }
        if self.lse {
            outputs.floats.insert("lse".into(), lse);
        }
        if self.nan == NanLogits::Refuse {
            outputs.floats.insert("rejected".into(), rejected(self, inputs).map(R::from_f64).to_vec());
        }
        outputs
    }

    fn case(seed: u64) -> Case<Self> {
        top_k_gate_cases::forward(seed)
    }

    const PLANNED: u64 = top_k_gate_cases::PLANNED;
}
