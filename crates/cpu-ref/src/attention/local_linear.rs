//! Local-linear attention with a given slope `r`: `o = Σ_j P_j·(1 − (r·k_j − c)) v_j`, `c = Σ_j P_j r·k_j`, and its gradient.

use gatefold_core::Attention;

use super::geometry::Sequence;
use super::score::Scores;
use crate::Real;
use crate::real::Accumulator;

/// `|r·k|` from which a kernel's saturate.
const SATURATION: f64 = 1.0e38;

/// What the gradient needs of a row beside `o` and `lse`.
#[derive(Debug, Clone)]
pub(crate) struct Moments<R> {
    /// `Σ_j P_j v_j`.
    pub(crate) v_mean: Vec<R>,
    /// `c`.
    pub(crate) rk_mean: R,
}

impl<R: Real> Default for Moments<R> {
    fn default() -> Self {
        Self::empty(0)
    }
}

impl<R: Real> Moments<R> {
    fn all(x: R, width: usize) -> Self {
        Self { v_mean: vec![x; width], rk_mean: x }
    }

    pub(crate) fn empty(width: usize) -> Self {
        Self::all(R::from_f64(0.0), width)
    }

    pub(crate) fn nan(width: usize) -> Self {
        Self::all(R::nan(), width)
    }
}

/// `r·k` of a query row and a key row.
fn product<R: Real>(scores: &Scores<'_, R>, query: usize, key: usize) -> R {
    R::dot(scores.slope(query), scores.key(key)).clamp(SATURATION)
}

fn largest<R: Real>(all: impl Iterator<Item = R>) -> f64 {
    all.map(|x| x.value().abs() + x.uncertainty()).fold(0.0, f64::max)
}

/// A row whose keys have these weights, which add up to `total`.
pub(crate) fn output<R: Real>(
    scores: &Scores<'_, R>,
    s: &Sequence,
    [h, i]: [usize; 2],
    (keys, weights, total): (&[usize], &[R], R),
) -> (Vec<R>, Moments<R>) {
    let (op, one) = (scores.op, R::from_f64(1.0));
    let row = s.query_row(op, h, i);
    let rows: Vec<usize> = keys.iter().map(|&j| s.key_row(op, h, j)).collect();
    let products: Vec<R> = rows.iter().map(|&key| product(scores, row, key)).collect();
    let mean = |terms: &dyn Fn(usize) -> R| {
        let mut sum = R::Sum::default();
        (0..rows.len()).for_each(|n| sum.add_product(weights[n], terms(n)));
        (sum.total_rescaled(usize::MAX) / total).charge(2.0)
    };
    let furthest = largest(products.iter().copied());
    let value = rows.iter().map(|&key| scores.largest_value(key)).fold(0.0, f64::max);
    let rk_mean = mean(&|n| products[n]);
    let rk_mean = rk_mean.certain_within(rk_mean.value().abs() + 1.02 * furthest);
    // a kernel measures products by their mean so far, and moves sums when that moves: once for every 16 keys or more
    let size = R::from_f64(mean(&|n| products[n].abs()).value());
    let moved = size.charge(8.0 + rows.len() as f64 / 8.0) - size;
    let factors: Vec<R> = products.iter().map(|&x| one - (x - rk_mean + moved)).collect();
    let width = op.dims.val_dim;
    let element = |d: usize, of: &dyn Fn(usize) -> R| mean(&|n| of(n) * scores.values(rows[n])[d]);
    let hull = |x: R| x.certain_within(x.value().abs() + 1.02 * value);
    let reach = |x: R| x.certain_within(x.value().abs() + 1.02 * (1.0 + 2.0 * furthest) * value);
    let o = (0..width).map(|d| reach(element(d, &|n| factors[n]))).collect();
    let v_mean = (0..width).map(|d| hull(element(d, &|_| one))).collect();
    (o, Moments { v_mean, rk_mean })
}

/// What the gradients of a row share, from what the forward pass saved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<R> {
    lse: R,
    /// `d_o·o`, less the upstream gradient of `lse`.
    delta: R,
    rk_mean: R,
    /// `d_o·v_mean`.
    mean: R,
}

/// The gradients of a pair.
pub(crate) struct Pair<R> {
    /// What its value counts with.
    pub(crate) weight: R,
    /// With respect to its score.
    pub(crate) dz: R,
    /// With respect to `r·k`.
    pub(crate) dt: R,
}

impl<R: Real> Shared<R> {
    pub(crate) fn of(op: &Attention, inputs: &crate::Values<R>, [row, stat]: [usize; 2], [lse, delta]: [R; 2]) -> Self {
        let at = row * op.dims.val_dim..(row + 1) * op.dims.val_dim;
        let mean = R::dot(&inputs.float("d_o")[at.clone()], &inputs.float("v_mean")[at]);
        Self { lse, delta, rk_mean: inputs.float("rk_mean")[stat], mean }
    }

    /// Of a pair of query row and key row, of score `z`, whose value has the product `e` with `d_o`.
    pub(crate) fn pair(&self, scores: &Scores<'_, R>, [query, key]: [usize; 2], [z, e]: [R; 2]) -> Pair<R> {
        let p = (z - self.lse).exp();
        let factor = R::from_f64(1.0) - (product(scores, query, key) - self.rk_mean);
        let apart = e - self.mean;
        Pair { weight: p * factor, dz: p * (factor * apart - (self.delta - self.mean)), dt: -(p * apart) }
    }
}
