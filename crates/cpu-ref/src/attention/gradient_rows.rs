//! Gradients of rows in the making.

use crate::Real;
use crate::real::Accumulator;

/// Sums of one gradient tensor, and the rows that are NaN as a whole.
pub(crate) struct Rows<R: Real> {
    sums: Vec<R::Sum>,
    pub(crate) nan: Vec<bool>,
    width: usize,
}

impl<R: Real> Rows<R> {
    pub(crate) fn new(len: usize, width: usize) -> Self {
        Self { sums: vec![R::Sum::default(); len], nan: vec![false; len / width], width }
    }

    /// `row += factor·x`.
    pub(crate) fn add(&mut self, row: usize, factor: R, x: &[R]) {
        for (sum, &x) in self.sums[row * self.width..].iter_mut().zip(x) {
            sum.add_product(factor, x);
        }
    }

    pub(crate) fn finish(self, scale: Option<R>) -> Vec<R> {
        let element = |(i, sum): (usize, &R::Sum)| match scale {
            _ if self.nan[i / self.width] => R::nan(),
            Some(scale) => sum.total() * scale,
            None => sum.total(),
        };
        self.sums.iter().enumerate().map(element).collect()
    }
}
