//! Experts' rows summed by token, and the gradients of the sum, from the definition.

use gatefold_core::{MoeCombine, MoeCombineBackward, Op};

use super::dispatch::rejected;
use super::dispatch_cases::{self, Sizes};
use crate::data::Rng;
use crate::real::Accumulator;
use crate::{Case, Real, Reference, Values};

/// Sum of products; NaN if a number of one is not finite.
fn dot<R: Real>(pairs: impl Iterator<Item = (R, R)>) -> R {
    let mut sum = R::Sum::default();
    for (a, b) in pairs {
        if !(a.value().is_finite() && b.value().is_finite()) {
            return R::nan();
        }
        sum.add_product(a, b);
    }
    sum.total()
}

/// Sum of terms; NaN if one is not finite.
fn sum<R: Real>(terms: impl Iterator<Item = R>) -> R {
    let mut sum = R::Sum::default();
    for term in terms {
        if !term.value().is_finite() {
            return R::nan();
        }
        sum.add(term);
    }
    sum.total()
}

impl Reference for MoeCombine {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let (y, weights, inverse) = (inputs.float("y"), inputs.float("weights"), inputs.int("inverse"));
        let mut o = Vec::with_capacity(self.tokens * self.hidden);
        for t in 0..self.tokens {
            let slots = t * self.top_k..(t + 1) * self.top_k;
            let counted: Vec<usize> = slots.filter(|&slot| (inverse[slot] as usize) < self.rows).collect();
            for col in 0..self.hidden {
                let element = |slot: usize| y[inverse[slot] as usize * self.hidden + col];
                o.push(if self.weighted {
                    dot(counted.iter().map(|&slot| (weights[slot], element(slot))))
                } else {
                    sum(counted.iter().map(|&slot| element(slot)))
                });
            }
        }
        let mut outputs = Values { floats: [("o".to_string(), o)].into(), ..Values::default() };
        if self.report {
            outputs.floats.insert("rejected".into(), rejected(inverse, self.rows));
        }
        outputs
    }

    fn case(seed: u64) -> Case<Self> {
        let sizes = |op: &Self| [op.tokens, op.top_k, op.hidden, op.rows];
        let case = Case::drawn((seed, 0xc0b1), planned(seed), random, 30, |rng, op, special| {
            dispatch_cases::inputs(rng, &op.operands(), sizes(op), special)
        });
        dispatch_cases::noted(case, sizes)
    }

    const PLANNED: u64 = dispatch_cases::PLANNED;
}

fn made([tokens, top_k, hidden, rows]: Sizes) -> MoeCombine {
    MoeCombine::new(tokens, top_k, hidden, rows)
}

fn planned(seed: u64) -> Option<(MoeCombine, String)> {
    let (sizes, dtype, weighted, note) = dispatch_cases::planned(seed)?;
    Some((MoeCombine { weighted, dtype, report: seed.is_multiple_of(2), ..made(sizes) }, note))
}

fn random(rng: &mut Rng) -> MoeCombine {
    let (sizes, dtype) = dispatch_cases::random(rng);
    MoeCombine { weighted: rng.chance(60), dtype, report: rng.chance(30), ..made(sizes) }
}

impl Reference for MoeCombineBackward {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let &Self { tokens, top_k, hidden, rows, .. } = self;
        let (y, weights, d_o) = (inputs.float("y"), inputs.float("weights"), inputs.float("d_o"));
        let zero = R::from_f64(0.0);
        let mut d_y = Vec::with_capacity(rows * hidden);
        for entry in inputs.int("permutation").iter().map(|&e| e as usize) {
            for col in 0..hidden {
                let term = |slot: usize| (weights[slot], d_o[slot / top_k * hidden + col]);
                d_y.push(if entry < tokens * top_k { dot(std::iter::once(term(entry))) } else { zero });
            }
        }
        let d_weight = |(slot, row): (usize, usize)| {
            let pair = |col: usize| (y[row * hidden + col], d_o[slot / top_k * hidden + col]);
            if row < rows { dot((0..hidden).map(pair)) } else { zero }
        };
        let entries = inputs.int("inverse").iter().map(|&e| e as usize);
        let d_weights = entries.enumerate().map(d_weight).collect();
        let floats = [("d_y".to_string(), d_y), ("d_weights".to_string(), d_weights)].into();
        Values { floats, ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        let sizes = |op: &Self| [op.tokens, op.top_k, op.hidden, op.rows];
        let backward = |op: MoeCombine| op.backward();
        let planned = planned(seed).map(|(op, note)| (op.backward(), note));
        let case = Case::drawn(
            (seed, 0xc0b2),
            planned,
            |rng| backward(random(rng)),
            30,
            |rng, op, special| dispatch_cases::inputs(rng, &op.operands(), sizes(op), special),
        );
        dispatch_cases::noted(case, sizes)
    }

    const PLANNED: u64 = dispatch_cases::PLANNED;
}
