//! Matrix products from the definition: a sum for every element.
//!
//! ```
//! use gatefold_core::{Gemm, Tensor, Tensors};
//! use gatefold_cpu_ref::outputs;
//!
//! let a = Tensor::f32([1, 2, 2], vec![1.0, 2.0, 3.0, 4.0]).unwrap();
//! let b = Tensor::f32([1, 1, 2], vec![10.0, 1.0]).unwrap(); // [n, k]
//! let spec = Gemm { transpose_b: true, ..Gemm::new(2, 1, 2) };
//! let c = outputs(&spec, &Tensors::new().with("a", a).with("b", b))["c"].clone();
//! assert_eq!(c.to_f32(), [12.0, 34.0]);
//! ```

mod cases;

use gatefold_core::Gemm;

use crate::{Case, Real, Reference, Values};

/// Matrices of `width` columns, as they are to be read: row by row, or, if stored the other way, column by column.
struct Rows<R> {
    elements: Vec<R>,
    width: usize,
    /// By row: whether it holds a NaN or an infinity.
    special: Vec<bool>,
}

impl<R: Real> Rows<R> {
    /// `rows` rows of `width` from one stored matrix; `turned` if it is stored as `[width, rows]`.
    fn new(stored: &[R], rows: usize, width: usize, turned: bool) -> Self {
        let at = |row: usize, col: usize| if turned { col * rows + row } else { row * width + col };
        let elements: Vec<R> = (0..rows).flat_map(|i| (0..width).map(move |l| stored[at(i, l)])).collect();
        let special = |row: usize| elements[row * width..(row + 1) * width].iter().any(|x| !x.value().is_finite());
        Self { special: (0..rows).map(special).collect(), elements, width }
    }

    fn row(&self, row: usize) -> &[R] {
        &self.elements[row * self.width..(row + 1) * self.width]
    }
}

/// The matrix of batch entry `entry` of an operand of `size` elements a matrix.
fn matrix<R>(operand: &[R], shared: bool, entry: usize, size: usize) -> &[R] {
    let first = if shared { 0 } else { entry * size };
    &operand[first..first + size]
}

/// One element. What is not finite follows IEEE 754: such a sum has the same result in any order.
fn element<R: Real>(op: &Gemm, row: &[R], column: &[R], special: bool, bias: Option<R>) -> R {
    let alpha = f64::from(op.alpha);
    if special || bias.is_some_and(|b| !b.value().is_finite()) {
        let sum: f64 = row.iter().zip(column).map(|(x, y)| x.value() * y.value()).sum();
        return R::from_f64(alpha * sum + bias.map_or(0.0, Real::value));
    }
    let sum = R::dot(row, column);
    let scaled = if op.alpha == 1.0 { sum } else { R::from_f64(alpha) * sum };
    bias.map_or(scaled, |b| scaled + b)
}

impl Reference for Gemm {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let (a, b, bias) = (inputs.float("a"), inputs.float("b"), inputs.float("bias"));
        let mut c = Vec::with_capacity(self.batch * self.m * self.n);
        for entry in 0..self.batch {
            let rows = matrix(a, self.shared_a, entry, self.m * self.k);
            let rows = Rows::new(rows, self.m, self.k, self.transpose_a);
            let columns = matrix(b, self.shared_b, entry, self.k * self.n);
            let columns = Rows::new(columns, self.n, self.k, !self.transpose_b);
            for i in 0..self.m {
                for j in 0..self.n {
                    let special = rows.special[i] || columns.special[j];
                    c.push(element(self, rows.row(i), columns.row(j), special, bias.get(j).copied()));
                }
            }
        }
        Values { floats: [("c".to_string(), c)].into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        cases::case(seed)
    }

    const PLANNED: u64 = cases::PLANNED;
}
