//! A router's auxiliary losses and their gradients, from the formulas.

use gatefold_core::RouterLoss;
use gatefold_core::routing::{Congestion, CongestionCost, Load, RouterLossKind};

use super::losses_cases as cases;
use crate::real::Accumulator;
use crate::rowwise::softmax_row;
use crate::{Case, Real, Reference, Values};

/// Additions that a term of a sum over tokens goes through: long sums are formed in blocks.
const DEPTH: usize = 256;

/// The probabilities of a token and its log-sum-exp.
struct Token<R> {
    p: Vec<R>,
    lse: R,
}

/// `softmax(logits)`. NaN wherever a logit is NaN or `+∞`; without a finite logit all 0, and no log-sum-exp.
fn token<R: Real>(logits: &[R]) -> Token<R> {
    let zero = R::from_f64(0.0);
    if logits.iter().any(|x| x.value().is_nan() || x.value() == f64::INFINITY) {
        return Token { p: vec![R::nan(); logits.len()], lse: R::nan() };
    }
    let at: Vec<usize> = (0..logits.len()).filter(|&e| logits[e].value() != f64::NEG_INFINITY).collect();
    let mut finite: Vec<R> = at.iter().map(|&e| logits[e]).collect();
    let mut p = vec![zero; logits.len()];
    let Some(row) = softmax_row(&mut finite, usize::MAX) else { return Token { p, lse: R::nan() } };
    // 2u more for a quotient: a kernel may multiply by the reciprocal
    at.iter().zip(finite).for_each(|(&e, x)| p[e] = (x / row.total).charge(2.0));
    Token { p, lse: row.lse }
}

fn power<R: Real>(x: R, cost: CongestionCost) -> R {
    match cost {
        CongestionCost::Linear => x,
        CongestionCost::Quadratic => x * x,
    }
}

/// What the tokens that count add up to.
struct Sums<R> {
    /// Tokens that count.
    tokens: usize,
    /// Choices of each expert.
    n: Vec<u32>,
    /// Sums of probabilities.
    p: Vec<R>,
}

impl<R: Real> Sums<R> {
    fn of(op: &RouterLoss, tokens: &[Option<Token<R>>], indices: &[u32]) -> Self {
        let mut found = Self { tokens: 0, n: vec![0; op.experts], p: Vec::new() };
        let mut sums = vec![R::Sum::default(); op.experts];
        for (t, token) in tokens.iter().enumerate() {
            let Some(token) = token else { continue };
            found.tokens += 1;
            sums.iter_mut().zip(&token.p).for_each(|(sum, &p)| sum.add(p));
            for &e in &indices[t * op.top_k..][..op.top_k] {
                if let Some(n) = found.n.get_mut(e as usize) {
                    *n += 1;
                }
            }
        }
        found.p = sums.iter().map(|sum| sum.total_in_depth(DEPTH)).collect();
        found
    }

    fn count(&self) -> R {
        R::from_f64(self.tokens as f64)
    }
}

/// `loss`, and for each expert what multiplies `p_t ⊙ (w − Σ p w)` in the gradient.
fn load_balance<R: Real>(op: &RouterLoss, sums: &Sums<R>) -> (R, Vec<R>) {
    let number = |x: f64| R::from_f64(x);
    let factor = number(op.coefficient.into()) * number(op.experts as f64)
        / (number(op.top_k as f64) * sums.count() * sums.count());
    // a kernel may hold the load E·n/(k·T) in the place of n: two products, a quotient, another product
    let n: Vec<R> = sums.n.iter().map(|&n| number(n.into()).charge(11.0)).collect();
    (factor * R::dot(&n, &sums.p), n.into_iter().map(|n| factor * n).collect())
}

/// `loss`, `pressure` and `potential`.
fn congestion<R: Real>(op: &RouterLoss, c: Congestion, sums: &Sums<R>) -> (R, Vec<R>, R) {
    let number = |x: f64| R::from_f64(x);
    let (experts, slots) = (number(op.experts as f64), number((sums.tokens * op.top_k) as f64));
    let soft: Vec<R> = sums.p.iter().map(|&p| (experts * p / sums.count()).charge(2.0)).collect();
    let hard: Vec<R> = sums.n.iter().map(|&n| experts * number(n.into()) / slots).collect();
    let load = if c.load == Load::Hard { &hard } else { &soft };
    let scale = number(op.coefficient.into()) * number(c.lambda.into());
    let pressure: Vec<R> = load.iter().map(|&x| scale * power(x, c.cost)).collect();
    let divisor = if c.load == Load::Hard { 1 } else { c.cost.power() + 1 };
    let loss = R::dot(&pressure, &soft) / (experts * number(divisor.into()));
    // Σ_{j ≤ n} jᵖ, exactly; a kernel forms it in floats, from n, n + 1 and 2n + 1
    let arrivals = |n: u32| (1..=u64::from(n)).map(|j| j.pow(c.cost.power())).sum::<u64>() as f64;
    let unit = experts / slots;
    let arrive = |&n: &u32| number(c.lambda.into()) * number(arrivals(n)).charge(12.0) * power(unit, c.cost) / slots;
    (loss, pressure, R::sum(sums.n.iter().map(arrive)))
}

/// What the gradient of a token's logits is. What is no number makes all of it none, also where it is multiplied by 0.
enum Slope<R> {
    /// No token counts.
    None,
    /// `factor·p ⊙ (w − Σ p w)`.
    Congested { factor: R, w: Vec<R> },
    /// `factor·lse·p`.
    LogSum { factor: R },
}

impl<R: Real> Slope<R> {
    fn of(&self, token: &Token<R>) -> Vec<R> {
        let lost = |parts: [R; 2]| parts.iter().any(|x| x.value().is_nan());
        match self {
            Self::Congested { factor, w } => {
                let mean = R::dot(&token.p, w);
                if lost([*factor, mean]) {
                    return vec![R::nan(); token.p.len()];
                }
                token.p.iter().zip(w).map(|(&p, &w)| *factor * (p * (w - mean))).collect()
            }
            Self::LogSum { factor } if lost([*factor, token.lse]) => vec![R::nan(); token.p.len()],
            Self::LogSum { factor } => token.p.iter().map(|&p| *factor * (p * token.lse)).collect(),
            Self::None => vec![R::from_f64(0.0); token.p.len()],
        }
    }
}

impl Reference for RouterLoss {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let number = |x: f64| R::from_f64(x);
        let (logits, mask) = (inputs.float("logits"), inputs.int("token_mask"));
        let counts = |t: usize| mask.get(t).is_none_or(|&m| m != 0);
        let row = |t: usize| &logits[t * self.experts..][..self.experts];
        let tokens: Vec<_> = (0..self.tokens).map(|t| counts(t).then(|| token(row(t)))).collect();
        let mut outputs = Values::default();
        let mut give = |name: &str, values: Vec<R>| drop(outputs.floats.insert(name.into(), values));
        let is_empty = tokens.iter().all(Option::is_none);
        let d_loss = inputs.float("d_loss").first().copied().unwrap_or(number(0.0));
        // multiplied by nothing: a NaN or an infinity would not always be one in the end
        let d_loss = if d_loss.value().is_finite() { d_loss } else { R::nan() };
        let zero = vec![number(0.0); self.experts];
        let slope = if is_empty {
            give("loss", vec![number(0.0)]);
            give("pressure", zero.clone());
            give("potential", vec![number(0.0)]);
            Slope::None
        } else if self.kind == RouterLossKind::ZLoss {
            let mut sum = R::Sum::default();
            tokens.iter().flatten().for_each(|token| sum.add_product(token.lse, token.lse));
            let share = number(self.coefficient.into()) / number(tokens.iter().flatten().count() as f64);
            give("loss", vec![(share * sum.total_in_depth(DEPTH)).charge(2.0)]);
            Slope::LogSum { factor: (number(2.0) * d_loss * share).charge(2.0) }
        } else {
            let sums = Sums::of(self, &tokens, inputs.int("indices"));
            let (loss, w, potential, factor) = match self.kind {
                RouterLossKind::Congestion(c) => {
                    let (loss, pressure, potential) = congestion(self, c, &sums);
                    (loss, pressure, potential, (d_loss / sums.count()).charge(2.0))
                }
                _ => {
                    let (loss, w) = load_balance(self, &sums);
                    (loss, w, number(0.0), d_loss)
                }
            };
            give("loss", vec![loss]);
            give("pressure", w.clone());
            give("potential", vec![potential]);
            Slope::Congested { factor, w }
        };
        let d_logits =
            tokens.iter().flat_map(|token| token.as_ref().map_or_else(|| zero.clone(), |token| slope.of(token)));
        give("d_logits", d_logits.collect());
        outputs
    }

    fn case(seed: u64) -> Case<Self> {
        cases::case(seed)
    }

    const PLANNED: u64 = cases::PLANNED;
}
