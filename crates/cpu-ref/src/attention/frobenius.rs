//! The normaliser of a whole head from its definition: `P_ij = rho_h·a_ij / (‖A‖_F + ε)`, `‖A‖_F = √Σ_ij a_ij²`.

use gatefold_core::Attention;

use super::geometry::{Sequence, sequences};
use super::rows::stored;
use crate::{Real, Values};

/// A kernel stores a row before it knows the norm of the head, divided by its own `√Σ_j a_ij²`, or by this if that is less.
const LEAST: f64 = 1.0 / (1u64 << 60) as f64;

/// `‖A‖_F` of a head, from its rows' sums of squares.
fn norm<R: Real>(op: &Attention, s: &Sequence, h: usize, squares: &[R]) -> R {
    R::sum((0..s.len_q).map(|i| squares[s.stat(op, h, i)])).sqrt()
}

/// Divides the rows of `o`, sums of values by weights, by the norms of their heads.
pub(super) fn divide<R: Real>(op: &Attention, inputs: &Values<R>, squares: &[R], o: &mut [R]) {
    let Some(eps) = op.normalizer.of_head() else { return };
    let width = op.dims.val_dim;
    for s in sequences(op, inputs) {
        for h in 0..op.dims.q_heads {
            let norm = norm(op, &s, h, squares);
            let share = inputs.float("rho")[h] / (norm + R::from_f64(eps.into()));
            for i in 0..s.len_q {
                // the same number twice, so that its error does not count; each time as good as a root
                let own = R::from_f64(squares[s.stat(op, h, i)].value().sqrt().max(LEAST)).charge(9.0);
                let first = s.query_row(op, h, i) * width;
                for x in &mut o[first..first + width] {
                    let kept = stored(*x * (R::from_f64(1.0) / own), op.dtype);
                    *x = if norm.value().is_nan() { R::nan() } else { kept * (own * share) };
                }
            }
        }
    }
}

/// What the gradients of a head's pairs share.
#[derive(Clone, Copy)]
pub(crate) struct Head<R> {
    /// `rho / (‖A‖_F + ε)`.
    pub(crate) share: R,
    /// `Δ / (‖A‖_F·(‖A‖_F + ε))`, of which each pair takes `a_ij` times as much; `Δ = Σ_i d_o_i·o_i`.
    pub(crate) correction: R,
    /// `Δ / rho`.
    pub(crate) d_rho: R,
}

impl<R: Real> Head<R> {
    /// From the forward pass's `row_sum` and `o`.
    pub(crate) fn new(op: &Attention, inputs: &Values<R>, s: &Sequence, h: usize) -> Option<Self> {
        let eps = op.normalizer.of_head()?;
        let width = op.dims.val_dim;
        let (o, d_o, rho) = (inputs.float("o"), inputs.float("d_o"), inputs.float("rho")[h]);
        let norm = norm(op, s, h, inputs.float("row_sum"));
        let delta = R::sum((0..s.len_q).map(|i| {
            let row = s.query_row(op, h, i) * width;
            R::dot(&d_o[row..row + width], &o[row..row + width])
        }));
        let whole = norm + R::from_f64(eps.into());
        let correction = if norm.value() == 0.0 { norm } else { delta / norm / whole };
        Some(Self { share: rho / whole, correction, d_rho: delta / rho })
    }

    /// Whether something of it is not a number, which makes all of it so.
    pub(crate) fn is_broken(&self) -> bool {
        !(self.share.value().is_finite() && self.correction.value().is_finite())
    }
}
