//! Penalties on the length of keys, a key bias of the core's, one for each key/value head, and of queries, which the core knows.

use gatefold_core::Attention;

use super::rows::{Kind, Rows, is_broken, stored};
use crate::real::Accumulator;
use crate::{Real, Values};

/// The core's `key_bias`: the given one, less a penalty on every key.
pub(crate) fn key_bias<R: Real>(op: &Attention, inputs: &Values<R>, keys: &[R]) -> Option<Vec<R>> {
    let half: R = R::from_f64(f64::from(op.half_penalty()?));
    let (d, given) = (&op.dims, inputs.float("key_bias"));
    let mut bias = vec![R::from_f64(0.0); op.key_row_dims().iter().product()];
    for (s, head, j, row) in Rows::new(op, inputs, Kind::Key).all() {
        let key = &keys[row * d.head_dim..(row + 1) * d.head_dim];
        let own = given.get(s.key_bias(op, head * d.group(), j)).copied();
        // a key that is not finite makes its pairs NaN whatever its bias
        let penalty = if is_broken(key) { R::from_f64(0.0) } else { -(half * R::dot(key, key)) };
        bias[s.key_stat(op, head, j)] = match own {
            Some(b) if !b.value().is_finite() => b,
            Some(b) => b + penalty,
            None => penalty,
        };
    }
    Some(bias)
}

/// What is taken from every score of each row of `q`; none without such a penalty.
pub(super) fn of_queries<R: Real>(op: &Attention, q: &[R]) -> Vec<R> {
    let Some(half) = op.half_query_penalty() else { return Vec::new() };
    let half: R = R::from_f64(f64::from(half));
    // the pairs of a row that is not finite are NaN, or have scores that are not
    let of = |row: &[R]| if is_broken(row) { R::from_f64(0.0) } else { half * R::dot(row, row) };
    q.chunks(op.dims.head_dim).map(of).collect()
}

/// Takes what a penalty on queries adds to their gradient, `2·½λ·scale·q̂_i·Σ_j dz_ij`, from `d_q`.
pub(crate) fn subtract_query_gradient<R: Real>(op: &Attention, q: &[R], sums: &[R::Sum], d_q: &mut [R]) {
    let Some(half) = op.half_query_penalty() else { return };
    let (twice, width) = (R::from_f64(2.0 * f64::from(half)), op.dims.head_dim);
    for ((sum, d), q) in sums.iter().zip(d_q.chunks_mut(width)).zip(q.chunks(width)) {
        let sum = sum.total();
        if sum.value() != 0.0 || sum.uncertainty() != 0.0 {
            d.iter_mut().zip(q).for_each(|(d, &q)| *d = stored(*d, op.dtype) - twice * sum * q);
        }
    }
}

/// Takes what a penalty adds to the gradient of the keys, `2·½λ·scale·k̂_j·Σ_i dz_ij`, from `d_k`.
pub(crate) fn subtract_gradient<R: Real>(op: &Attention, inputs: &Values<R>, keys: &[R], sums: &[R], d_k: &mut [R]) {
    let Some(half) = op.half_penalty() else { return };
    let (twice, width) = (R::from_f64(2.0 * f64::from(half)), op.dims.head_dim);
    for (s, head, j, row) in Rows::new(op, inputs, Kind::Key).all() {
        let sum = sums[s.key_stat(op, head, j)];
        if sum.value() != 0.0 || sum.uncertainty() != 0.0 {
            let at = row * width..(row + 1) * width;
            d_k[at.clone()].iter_mut().zip(&keys[at]).for_each(|(d, &k)| *d = *d - twice * sum * k);
        }
    }
}

/// The gradient of the given key bias from that of the core's, which has one for each key/value head.
pub(crate) fn given_bias_gradient<R: Real>(op: &Attention, inputs: &Values<R>, sums: Vec<R>) -> Vec<R> {
    if op.key_bias_per_head {
        return sums;
    }
    let mut all = vec![R::Sum::default(); inputs.float("key_bias").len()];
    for (s, head, j, _) in Rows::new(op, inputs, Kind::Key).all() {
        if let Some(sum) = all.get_mut(s.key(op, j)) {
            sum.add(sums[s.key_stat(op, head, j)]);
        }
    }
    all.iter().map(Accumulator::total).collect()
}
