//! Products by expert from the definition: each row times the weight of its expert, and the gradients of the weights.
//!
//! ```
//! use gatefold_core::{GroupedGemm, Tensor, Tensors};
//! use gatefold_cpu_ref::outputs;
//!
//! let x = Tensor::f32([3, 1], vec![1.0, 2.0, 3.0]).unwrap();
//! let w = Tensor::f32([2, 1, 1], vec![10.0, 100.0]).unwrap();
//! let offsets = Tensor::u32([3], vec![0, 1, 2]).unwrap(); // a row each; the third has no expert
//! let inputs = Tensors::new().with("x", x).with("w", w).with("offsets", offsets);
//! assert_eq!(outputs(&GroupedGemm::new(2, 3, 1, 1), &inputs)["y"].to_f32(), [10.0, 200.0, 0.0]);
//! ```

use std::ops::Range;

use gatefold_core::{GroupedGemm, GroupedGemmWeights};

use super::grouped_cases;
use crate::{Case, Real, Reference, Values};

/// The rows of an expert.
fn rows_of(offsets: &[u32], expert: usize) -> Range<usize> {
    offsets[expert] as usize..offsets[expert + 1] as usize
}

/// `Σ a·b + bias`. What is not finite follows IEEE 754: such a sum has the same result in any order.
fn sum_of_products<R: Real>(a: &[R], b: &[R], bias: Option<R>) -> R {
    let is_special = |x: &R| !x.value().is_finite();
    if a.iter().chain(b).chain(&bias).any(is_special) {
        let sum: f64 = a.iter().zip(b).map(|(x, y)| x.value() * y.value()).sum();
        return R::from_f64(sum + bias.map_or(0.0, Real::value));
    }
    let sum = R::dot(a, b);
    bias.map_or(sum, |b| sum + b)
}

/// Column `column` of some rows of a matrix of `width` columns.
fn column_of<R: Real>(matrix: &[R], rows: Range<usize>, width: usize, column: usize) -> Vec<R> {
    rows.map(|r| matrix[r * width + column]).collect()
}

impl Reference for GroupedGemm {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let &Self { experts, rows, n, k, transpose_w, .. } = self;
        let (x, w, bias, offsets) = (inputs.float("x"), inputs.float("w"), inputs.float("bias"), inputs.int("offsets"));
        let mut y = vec![R::from_f64(0.0); rows * n];
        for expert in 0..experts {
            let w = &w[expert * k * n..(expert + 1) * k * n];
            for column in 0..n {
                let weights =
                    if transpose_w { w[column * k..(column + 1) * k].to_vec() } else { column_of(w, 0..k, n, column) };
                let bias = bias.get(expert * n + column).copied();
                for r in rows_of(offsets, expert) {
                    y[r * n + column] = sum_of_products(&x[r * k..(r + 1) * k], &weights, bias);
                }
            }
        }
        Values { floats: [("y".to_string(), y)].into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        grouped_cases::forward(seed)
    }

    const PLANNED: u64 = grouped_cases::PLANNED;
}

impl Reference for GroupedGemmWeights {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let &Self { experts, n, k, transpose_w, .. } = self;
        let (x, d_y, offsets) = (inputs.float("x"), inputs.float("d_y"), inputs.int("offsets"));
        let (mut d_w, mut d_bias) = (Vec::with_capacity(experts * k * n), Vec::new());
        for expert in 0..experts {
            let rows = rows_of(offsets, expert);
            let columns = |matrix: &[R], width: usize| -> Vec<Vec<R>> {
                (0..width).map(|c| column_of(matrix, rows.clone(), width, c)).collect()
            };
            let (of_x, of_d_y) = (columns(x, k), columns(d_y, n));
            let (left, right) = if transpose_w { (&of_d_y, &of_x) } else { (&of_x, &of_d_y) };
            for i in left {
                d_w.extend(right.iter().map(|j| sum_of_products(i, j, None)));
            }
            let ones = vec![R::from_f64(1.0); rows.len()];
            d_bias.extend(of_d_y.iter().map(|j| {
                let is_finite = j.iter().all(|x| x.value().is_finite());
                if is_finite { R::sum(j.iter().copied()) } else { sum_of_products(&ones, j, None) }
            }));
        }
        let mut outputs = Values { floats: [("d_w".to_string(), d_w)].into(), ..Values::default() };
        if self.bias {
            outputs.floats.insert("d_bias".into(), d_bias);
        }
        outputs
    }

    fn case(seed: u64) -> Case<Self> {
        grouped_cases::weights(seed)
    }

    const PLANNED: u64 = grouped_cases::PLANNED;
}
