//! Tokens' rows in the order of a plan, from the definition.

use gatefold_core::routing::NO_ROW;
use gatefold_core::{MoeDispatch, Op};

use super::dispatch_cases;
use crate::{Case, Real, Reference, Values};

/// How many entries are neither below `end` nor [`NO_ROW`], and the first of them.
pub(super) fn rejected<R: Real>(entries: &[u32], end: usize) -> Vec<R> {
    let is_bad = |e: &u32| *e != NO_ROW && *e as usize >= end;
    let count = entries.iter().filter(|e| is_bad(e)).count();
    let first = entries.iter().position(is_bad).unwrap_or(NO_ROW as usize);
    [count, first].map(|n| R::from_f64(n as f64)).to_vec()
}

impl Reference for MoeDispatch {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let (x, permutation) = (inputs.float("x"), inputs.int("permutation"));
        let mut y = Vec::with_capacity(self.rows * self.hidden);
        for &entry in permutation {
            let token = entry as usize / self.top_k;
            for col in 0..self.hidden {
                y.push(if token < self.tokens { x[token * self.hidden + col] } else { R::from_f64(0.0) });
            }
        }
        let mut outputs = Values { floats: [("y".to_string(), y)].into(), ..Values::default() };
        if self.report {
            outputs.floats.insert("rejected".into(), rejected(permutation, self.tokens * self.top_k));
        }
        outputs
    }

    fn case(seed: u64) -> Case<Self> {
        let case = Case::drawn((seed, 0xd15b), planned(seed), random, 30, |rng, op, special| {
            dispatch_cases::inputs(rng, &op.operands(), sizes(op), special)
        });
        dispatch_cases::noted(case, sizes)
    }

    const PLANNED: u64 = dispatch_cases::PLANNED;
}

fn sizes(op: &MoeDispatch) -> dispatch_cases::Sizes {
    [op.tokens, op.top_k, op.hidden, op.rows]
}

fn planned(seed: u64) -> Option<(MoeDispatch, String)> {
    let (sizes, dtype, report, note) = dispatch_cases::planned(seed)?;
    let [tokens, top_k, hidden, rows] = sizes;
    Some((MoeDispatch { tokens, top_k, hidden, rows, dtype, report }, note))
}

fn random(rng: &mut crate::data::Rng) -> MoeDispatch {
    let ([tokens, top_k, hidden, rows], dtype) = dispatch_cases::random(rng);
    MoeDispatch { tokens, top_k, hidden, rows, dtype, report: rng.chance(40) }
}
