//! The affine epilogue from its definition: `y_i = alpha_i·x_i + (alpha_mean_h − alpha_i)·mean_j v_j`, over the keys that query `i` sees.

use gatefold_core::Attention;

use super::geometry::Sequence;
use super::rows::{Kind, Rows};
use crate::real::Accumulator;
use crate::{Real, Values};

/// The gradients of the epilogue.
pub(crate) struct Gradient<R> {
    pub(crate) d_x: Vec<R>,
    /// As many as there are rows.
    pub(crate) d_alpha: Vec<R>,
    /// What the means add to the gradient of the values.
    pub(crate) d_v: Vec<R>,
}

/// A query and the rows of `v` that it sees.
struct Query {
    head: usize,
    row: usize,
    stat: usize,
    keys: Vec<usize>,
}

fn queries<R: Real>(op: &Attention, inputs: &Values<R>) -> Vec<Query> {
    let of = |(s, head, i, row): (Sequence, usize, usize, usize)| Query {
        head,
        row,
        stat: s.stat(op, head, i),
        keys: (0..s.len_kv).filter(|&j| s.visible(op, i, j)).map(|j| s.key_row(op, head, j)).collect(),
    };
    Rows::new(op, inputs, Kind::Output).all().into_iter().map(of).collect()
}

/// The mean of a dim of what a query sees; NaN if one of the numbers is not finite, 0 if there are none.
fn mean<R: Real>(q: &Query, v: &[R], width: usize, d: usize) -> R {
    let of = |row: usize| v[row * width + d];
    if q.keys.iter().any(|&row| !of(row).value().is_finite()) {
        return R::nan();
    }
    R::sum(q.keys.iter().map(|&row| of(row))) / R::from_f64(q.keys.len().max(1) as f64)
}

/// `y` of the core's output `x`, which it is without such an epilogue. `inputs` hold the values after the prologue.
pub(crate) fn forward<R: Real>(op: &Attention, inputs: &Values<R>, x: &[R]) -> Vec<R> {
    let mut y = x.to_vec();
    if !op.epilogue.affine {
        return y;
    }
    let (width, v) = (op.dims.val_dim, inputs.float("v"));
    for q in queries(op, inputs) {
        let (alpha, total) = (inputs.float("alpha")[q.stat], inputs.float("alpha_mean")[q.head]);
        for d in 0..width {
            let at = q.row * width + d;
            y[at] = alpha * x[at] + (total - alpha) * mean(&q, v, width, d);
        }
    }
    y
}

/// The gradients of what has the output gradient `d_y`.
pub(crate) fn backward<R: Real>(op: &Attention, inputs: &Values<R>, x: &[R], d_y: &[R]) -> Gradient<R> {
    let (width, v, zero) = (op.dims.val_dim, inputs.float("v"), R::from_f64(0.0));
    let mut d_x = vec![zero; x.len()];
    let mut d_alpha = vec![zero; inputs.float("alpha").len()];
    let mut d_v = vec![R::Sum::default(); v.len()];
    let mut broken = vec![false; v.len()];
    for q in queries(op, inputs) {
        let (alpha, total) = (inputs.float("alpha")[q.stat], inputs.float("alpha_mean")[q.head]);
        let share = (total - alpha) / R::from_f64(q.keys.len().max(1) as f64);
        let (mut from_mean, mut along) = (Vec::new(), Vec::new());
        for d in 0..width {
            let at = q.row * width + d;
            from_mean.push(x[at] - mean(&q, v, width, d));
            along.push(d_y[at]);
            d_x[at] = alpha * d_y[at];
            let term = share * d_y[at];
            for key in q.keys.iter().map(|row| row * width + d) {
                broken[key] |= !term.value().is_finite();
                d_v[key].add(term);
            }
        }
        let finite = from_mean.iter().chain(&along).all(|x| x.value().is_finite());
        d_alpha[q.stat] = if finite { R::dot(&from_mean, &along) } else { R::nan() };
    }
    let total = |(sum, &broken): (&R::Sum, &bool)| if broken { R::nan() } else { sum.total() };
    Gradient { d_x, d_alpha, d_v: d_v.iter().zip(&broken).map(total).collect() }
}
