//! Weights measured by the mean of their row, less an offset, and raised to a power; and the gradient of that.

use gatefold_core::Attention;
use gatefold_core::attention::{LEAST_EXCESS, Reweight};

use super::geometry::Sequence;
use super::score::{Score, Scores};
use super::weight::{power, weight, weight_at_infinity};
use crate::Real;
use crate::real::UNIT;

/// What is not known of a row that may or may not be too even to be re-weighted, in units of 2⁻²⁴.
const UNSURE: f64 = 1e15;

/// The largest; for a kernel it may be any that is as large within its error.
fn largest<R: Real>(weights: &[R]) -> R {
    let most = weights.iter().copied().reduce(R::max).unwrap_or_else(|| R::from_f64(0.0));
    let reach = |x: &R| x.value() + x.uncertainty();
    let beyond = weights.iter().map(reach).fold(0.0, f64::max) - reach(&most);
    if beyond > 0.0 && most.value() > 0.0 { most.charge(beyond / most.value() / UNIT) } else { most }
}

/// What a row's weights are measured by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measure<R> {
    pub(crate) mean: R,
    pub(crate) most: R,
    offset: R,
    power: u32,
    /// `max_j t_j`.
    excess: R,
    /// Whether the row keeps its own weights.
    is_even: bool,
    /// 0, with an error without end where the row may be even for a kernel and not here, or the reverse.
    unsure: R,
}

impl<R: Real> Measure<R> {
    /// Of the weights of query `i`, which sees `count` keys. `None` without re-weighting.
    pub(crate) fn of(op: &Attention, s: &Sequence, i: usize, weights: &[R], count: usize) -> Option<Self> {
        let zero = R::from_f64(0.0);
        let sum = R::sum(weights.iter().copied());
        let mean = if count == 0 { zero } else { sum / R::from_f64(count as f64) };
        op.reweight.map(|r| Self::new(&r, r.offset_at(op.position(i, s.off())), mean, largest(weights)))
    }

    /// From what the forward pass saved.
    pub(crate) fn saved(op: &Attention, s: &Sequence, i: usize, mean: R, most: R) -> Option<Self> {
        op.reweight.map(|r| Self::new(&r, r.offset_at(op.position(i, s.off())), mean, most))
    }

    fn new(r: &Reweight, offset: f32, mean: R, most: R) -> Self {
        let (one, offset) = (R::from_f64(1.0), R::from_f64(f64::from(offset)));
        // a row of zeros is even
        let excess = most * mean.share() - offset;
        let margin = excess.value() - f64::from(LEAST_EXCESS);
        let is_unsure = margin.abs() <= excess.uncertainty() && mean.value() != 0.0;
        let unsure = if is_unsure { one.charge(UNSURE) - one } else { R::from_f64(0.0) };
        Self { mean, most, offset, power: r.power, excess, is_even: margin < 0.0, unsure }
    }

    /// `t = max(a/mean − offset, 0)`.
    fn excess_of(&self, a: R) -> R {
        (a / self.mean - self.offset).within(0.0, f64::INFINITY)
    }

    /// `(t / max t)^power` with what the largest is taken for. A kernel may multiply by its reciprocal.
    fn relative_to(&self, a: R, excess: R, most: R) -> R {
        match () {
            () if self.most.value() == 0.0 => self.most,
            () if self.is_even => (a / most).charge(2.0) + self.unsure,
            () => power((self.excess_of(a) / excess).charge(2.0), self.power) + self.unsure,
        }
    }

    /// A row's re-weighted weights, to be divided by their sum: whatever a kernel takes for the largest is the same for all of a row, and cancels.
    pub(crate) fn weights(&self, row: &[R]) -> Vec<R> {
        let known = |x: R| R::from_f64(x.value());
        row.iter().map(|&a| self.relative_to(a, known(self.excess), known(self.most))).collect()
    }

    /// A re-weighted weight.
    pub(crate) fn weight(&self, a: R) -> R {
        self.relative_to(a, self.excess, self.most)
    }

    /// The derivative of a re-weighted weight by `t / max t`, the largest held.
    fn slope(&self, a: R) -> R {
        if self.is_even {
            return R::from_f64(1.0) + self.unsure;
        }
        let t = self.excess_of(a);
        let rate = R::from_f64(f64::from(self.power));
        match self.power {
            1 => rate * t.step() + self.unsure,
            n => rate * power((t / self.excess).charge(2.0), n - 1) + self.unsure,
        }
    }
}

/// What the gradients of a re-weighted row share: `p_j = u_j^power/R` with `u_j = t_j / max t`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<R> {
    measure: Measure<R>,
    share: R,
    delta: R,
    /// `offset/N·Σ_k h_k`: what the mean takes from every weight's gradient.
    level: R,
}

impl<R: Real> Shared<R> {
    /// Of a row with these keys. `share` is `1/R`; `d_p` gives `d_o·v_j`.
    pub(crate) fn of(
        scores: &Scores<'_, R>,
        measure: Measure<R>,
        [share, delta]: [R; 2],
        seen: &[(usize, Score<R>)],
        d_p: impl Fn(usize) -> R,
    ) -> Self {
        let zero = R::from_f64(0.0);
        let of_row = Self { measure, share, delta, level: zero };
        if measure.is_even || measure.offset.value() == 0.0 || seen.is_empty() {
            return Self { level: measure.unsure, ..of_row };
        }
        let gradient = |&(j, score): &(usize, Score<R>)| match score {
            Score::Finite { z, .. } => of_row.gradient(weight(scores.op, z), d_p(j)),
            Score::PlusInfinity => of_row.gradient(weight_at_infinity(scores.op, 1.0), d_p(j)),
            Score::MinusInfinity | Score::Nan => zero,
        };
        let level = measure.offset * R::sum(seen.iter().map(gradient)) / R::from_f64(seen.len() as f64);
        Self { level, ..of_row }
    }

    /// `h = power·u^(power − 1)·(d_p − delta)/R`.
    fn gradient(&self, a: R, d_p: R) -> R {
        self.measure.slope(a) * (d_p - self.delta) * self.share
    }

    /// A pair's `p`.
    pub(crate) fn p(&self, a: R) -> R {
        self.measure.weight(a) * self.share
    }

    /// The gradient of a weight before it is re-weighted: `(h − level)/(max a − offset·mean)`.
    pub(crate) fn d_weight(&self, a: R, d_p: R) -> R {
        let m = &self.measure;
        let span = if m.is_even { m.most } else { m.excess * m.mean };
        (self.gradient(a, d_p) - self.level) * span.share()
    }
}
