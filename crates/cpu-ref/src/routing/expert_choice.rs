//! Expert choice and its gradient from their definitions.

use gatefold_core::routing::{NO_ROW, NanLogits};
use gatefold_core::{ExpertChoice, ExpertChoiceBackward, Tensor, Tensors};

use super::expert_choice_cases as cases;
use crate::real::{Accumulator, FLUSH};
use crate::rowwise::softmax_row;
use crate::{Case, Real, Reference, Values, outputs};

/// Largest logit that there is: larger ones count as it.
pub(super) const LIMIT: f64 = 3.0e38f32 as f64;

/// Whether a logit takes part.
fn is_in<R: Real>(logit: R) -> bool {
    !logit.value().is_nan() && logit.value() != f64::NEG_INFINITY
}

/// The softmax of a token's logits; 0 for those that take no part.
pub(super) fn softmax<R: Real>(logits: &[R]) -> Vec<R> {
    let beyond = |x: R| if x.value().abs() > LIMIT { R::from_f64(LIMIT * x.value().signum()) } else { x };
    let mut parts: Vec<R> = logits.iter().copied().filter(|&x| is_in(x)).map(beyond).collect();
    let row = softmax_row(&mut parts, usize::MAX);
    let mut parts = parts.into_iter();
    let share = |x: &R| match (&row, is_in(*x)) {
        // 2u more for a quotient: a kernel may multiply by the reciprocal
        (Some(row), true) => parts.next().map_or(R::from_f64(0.0), |part| (part / row.total).charge(2.0)),
        _ => R::from_f64(0.0),
    };
    logits.iter().map(share).collect()
}

/// A score: what is below the smallest normal number is 0, and what is near to it may be.
fn flushed<R: Real>(p: R) -> R {
    match p.value() {
        x if x >= FLUSH => p,
        x if x >= FLUSH / 2.0 => p + -p,
        _ => R::from_f64(0.0),
    }
}

/// Scores of all tokens with all experts, and whether an expert may take a token.
pub(super) fn scores<R: Real>(op: &ExpertChoice, inputs: &Values<R>) -> (Vec<R>, Vec<bool>) {
    let mask = inputs.int("token_mask");
    let (mut scores, mut may) = (Vec::new(), Vec::new());
    for (token, logits) in inputs.float("logits").chunks(op.experts).enumerate() {
        let counts = mask.get(token).is_none_or(|&word| word != 0);
        let row = softmax(logits);
        scores.extend(row.into_iter().map(|p| if counts { flushed(p) } else { R::from_f64(0.0) }));
        may.extend(logits.iter().map(|&x| counts && is_in(x)));
    }
    (scores, may)
}

/// How many logits of tokens that count are NaN, and the first.
fn rejected<R: Real>(op: &ExpertChoice, inputs: &Values<R>) -> Vec<R> {
    let mask = inputs.int("token_mask");
    let counts = |at: &usize| mask.get(at / op.experts).is_none_or(|&word| word != 0);
    let logits = inputs.float("logits");
    let found: Vec<usize> = (0..logits.len()).filter(counts).filter(|&at| logits[at].value().is_nan()).collect();
    let first = found.first().map_or(f64::from(NO_ROW), |&at| at as f64);
    [found.len() as f64, first].map(R::from_f64).into()
}

impl Reference for ExpertChoice {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let (scores, may) = scores(self, inputs);
        let nobody = f64::from(NO_ROW);
        let (mut weights, mut indices) = (Vec::new(), Vec::new());
        let mut inverse = vec![R::from_f64(nobody); self.tokens * self.experts];
        for expert in 0..self.experts {
            let at = |token: usize| token * self.experts + expert;
            let mut tokens: Vec<usize> = (0..self.tokens).filter(|&t| may[at(t)]).collect();
            let value = |token: usize| scores[at(token)].value();
            tokens.sort_by(|&a, &b| value(b).total_cmp(&value(a)).then(a.cmp(&b)));
            for slot in 0..self.capacity {
                let token = tokens.get(slot).copied();
                weights.push(token.map_or(R::from_f64(0.0), |t| scores[at(t)]));
                indices.push(R::from_f64(token.map_or(nobody, |t| t as f64)));
                if let Some(token) = token {
                    inverse[at(token)] = R::from_f64((expert * self.capacity + slot) as f64);
                }
            }
        }
        let mut made = Values::default();
        made.floats.insert("weights".into(), weights);
        made.floats.insert("indices".into(), indices);
        if self.scores {
            made.floats.insert("scores".into(), scores);
        }
        if self.inverse {
            made.floats.insert("inverse".into(), inverse);
        }
        if self.nan == NanLogits::Refuse {
            made.floats.insert("rejected".into(), rejected(self, inputs));
        }
        made
    }

    fn case(seed: u64) -> Case<Self> {
        cases::drawn(seed)
    }

    const PLANNED: u64 = cases::PLANNED;
}

impl Reference for ExpertChoiceBackward {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let op = &self.forward;
        let mut upstream = vec![R::from_f64(0.0); op.tokens * op.experts];
        let slots = inputs.int("indices").iter().zip(inputs.float("d_weights")).enumerate();
        for (slot, (&token, &gradient)) in slots.filter(|(_, (token, _))| (**token as usize) < op.tokens) {
            upstream[token as usize * op.experts + slot / op.capacity] = gradient;
        }
        let mut d_logits = Vec::with_capacity(upstream.len());
        for (logits, upstream) in inputs.float("logits").chunks(op.experts).zip(upstream.chunks(op.experts)) {
            if upstream.iter().any(|g| !g.value().is_finite()) {
                d_logits.extend(vec![R::nan(); op.experts]);
                continue;
            }
            let p = softmax(logits);
            let mut sum = R::Sum::default();
            p.iter().zip(upstream).for_each(|(&p, &g)| sum.add_product(p, g));
            // 5u more, and 2u: a kernel may divide the sum instead of its terms
            let sum = sum.total().charge(7.0);
            d_logits.extend(p.iter().zip(upstream).map(|(&p, &g)| p * (g - sum)));
        }
        Values { floats: [("d_logits".to_string(), d_logits)].into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        cases::backward(seed)
    }

    const PLANNED: u64 = cases::PLANNED_BACKWARD;

    /// Adds the forward pass's choice.
    fn complete(&self, inputs: Tensors) -> Tensors {
        let forward = ExpertChoice { token_mask: false, ..self.forward.clone() };
        let logits: Tensor = inputs["logits"].clone();
        let made = outputs(&forward, &Tensors::new().with("logits", logits));
        inputs.with("indices", made["indices"].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(rows: &[[f32; 2]]) -> Tensors {
        Tensors::new().with("logits", Tensor::f32([rows.len(), 2], rows.concat()).unwrap())
    }

    #[test]
    fn experts_take_their_best_tokens() {
        let op = ExpertChoice { inverse: true, ..ExpertChoice::new(4, 2, 2) };
        let made = outputs(&op, &logits(&[[0.0, 1.0], [2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]));
        assert_eq!(made["indices"].as_u32().unwrap(), [1, 0, 3, 0]);
        assert_eq!(made["inverse"].as_u32().unwrap(), [1, 3, 0, NO_ROW, NO_ROW, NO_ROW, NO_ROW, 2]);
        let share = |x: f32, y: f32| x.exp() / (x.exp() + y.exp());
        let want = [share(2.0, 0.0), share(0.0, 1.0), share(3.0, 0.0), share(1.0, 0.0)];
        assert!(made["weights"].to_f32().iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6));
    }

    #[test]
    fn what_is_out_leaves_slots_open() {
        let op = ExpertChoice { token_mask: true, ..ExpertChoice::new(3, 2, 2) };
        let given = logits(&[[f32::NAN, 1.0], [f32::NEG_INFINITY, 0.0], [9.0, 9.0]]);
        let made = outputs(&op, &given.with("token_mask", Tensor::u32([3], vec![1, 1, 0]).unwrap()));
        assert_eq!(made["indices"].as_u32().unwrap(), [NO_ROW, NO_ROW, 0, 1]);
        assert_eq!(made["weights"].to_f32(), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(made["rejected"].as_u32().unwrap(), [1, 0]);
    }
}
