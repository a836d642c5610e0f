//! Softmax, log-softmax and log-sum-exp of each row, and their gradients, from the definition.
//!
//! ```
//! use gatefold_core::{RowFunction, Rowwise, RowwiseBackward, Tensor, Tensors};
//! use gatefold_cpu_ref::outputs;
//!
//! let x = Tensor::f32([1, 2], vec![0.0, 0.0]).unwrap();
//! let spec = Rowwise::new(RowFunction::Softmax, 1, 2);
//! let y = outputs(&spec, &Tensors::new().with("x", x))["y"].clone();
//! assert_eq!(y.to_f32(), [0.5, 0.5]);
//!
//! let d_y = Tensor::f32([1, 2], vec![1.0, 0.0]).unwrap();
//! let gradient = outputs(&RowwiseBackward { forward: spec }, &Tensors::new().with("y", y).with("d_y", d_y));
//! assert_eq!(gradient["d_x"].to_f32(), [0.25, -0.25]);
//! ```

pub(crate) mod cases;

use gatefold_core::{RowFunction, Rowwise, RowwiseBackward, Tensors};

use crate::attention::SATURATION;
use crate::real::{Accumulator, UNIT};
use crate::{Case, Real, Reference, Values, outputs};

/// `Σ exp z` over the shifted logits, and `ln Σ exp z`.
pub(crate) struct SoftmaxRow<R> {
    pub(crate) total: R,
    pub(crate) lse: R,
}

/// Replaces `logits` by `exp(z − max z)`; `None` if there are none. `depth`: see [`Accumulator::total_in_depth`].
pub(crate) fn softmax_row<R: Real>(logits: &mut [R], depth: usize) -> Option<SoftmaxRow<R>> {
    if logits.is_empty() {
        return None;
    }
    let spread = logits.iter().map(|z| z.uncertainty()).fold(0.0, f64::max);
    let peak = R::center(logits);
    let mut sum = R::Sum::default();
    for z in logits.iter_mut() {
        *z = z.exp();
        sum.add(*z);
    }
    let total = sum.total_rescaled(depth);
    let lse = peak + total.ln();
    // lse moves by no more than the logit that moves most; the rest is the rounding of exponentials, sums and the logarithm
    let rounding = UNIT * (600.0 + 3.0 * logits.len().min(depth) as f64 + 8.0 * lse.value().abs());
    Some(SoftmaxRow { total, lse: lse.certain_within(1.001 * spread + rounding) })
}

/// Additions that a term of a row sum goes through in a kernel: long rows are summed in at least 16 parts.
fn depth(cols: usize) -> usize {
    cols.min(cols / 16 + 64)
}

/// What a row holds.
enum Content {
    /// A NaN or `+∞`: the whole row is NaN.
    Nan,
    /// No finite entry.
    Empty,
    /// At least one finite entry; others are `−∞`.
    Finite,
}

fn content<R: Real>(row: &[R]) -> Content {
    match row {
        _ if row.iter().any(|x| x.value().is_nan() || x.value() == f64::INFINITY) => Content::Nan,
        _ if row.iter().all(|x| x.value() == f64::NEG_INFINITY) => Content::Empty,
        _ => Content::Finite,
    }
}

fn row_len<R: Real>(op: &Rowwise, inputs: &Values<R>, row: usize) -> usize {
    inputs.int("lens").get(row).map_or(op.cols, |&n| n as usize)
}

/// Writes one row of `y`; `x` holds the entries that count.
fn forward_row<R: Real>(op: &Rowwise, x: &[R], y: &mut [R]) {
    let (minus_infinity, zero) = (R::from_f64(f64::NEG_INFINITY), R::from_f64(0.0));
    let finite = |x: &R| x.value() != f64::NEG_INFINITY;
    let scale = R::from_f64(f64::from(op.scale));
    let whole = |fill: R, y: &mut [R]| match op.function {
        RowFunction::LogSumExp => y.fill(fill),
        _ => y[..x.len()].fill(fill),
    };
    match (content(x), op.function) {
        (Content::Nan, _) => return whole(R::nan(), y),
        (Content::Empty, RowFunction::Softmax) => return whole(zero, y),
        (Content::Empty, _) => return whole(minus_infinity, y),
        (Content::Finite, _) => {}
    }
    let scaled = |&x: &R| (if op.scale == 1.0 { x } else { x * scale }).clamp(SATURATION);
    let logits: Vec<R> = x.iter().filter(|x| finite(x)).map(scaled).collect();
    let mut shifted = logits.clone();
    let Some(row) = softmax_row(&mut shifted, depth(op.cols)) else {
        return;
    };
    // 2u more for a quotient: a kernel may multiply by the reciprocal
    let mut at = 0;
    for (x, y) in x.iter().zip(y.iter_mut()) {
        *y = match op.function {
            RowFunction::LogSumExp => row.lse,
            RowFunction::Softmax if finite(x) => (shifted[at] / row.total).charge(2.0),
            RowFunction::LogSoftmax if finite(x) => (logits[at] - row.lse).clamp(SATURATION),
            RowFunction::Softmax => zero,
            RowFunction::LogSoftmax => minus_infinity,
        };
        at += usize::from(finite(x));
    }
}

impl Reference for Rowwise {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let width = if self.function == RowFunction::LogSumExp { 1 } else { self.cols };
        let mut y = vec![R::from_f64(0.0); self.rows * width];
        for (row, (x, y)) in inputs.float("x").chunks(self.cols).zip(y.chunks_mut(width)).enumerate() {
            forward_row(self, &x[..row_len(self, inputs, row)], y);
        }
        Values { floats: [("y".to_string(), y)].into(), ints: [].into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        cases::forward(seed)
    }

    const PLANNED: u64 = cases::PLANNED;
}

/// Writes one row of the gradient of log-sum-exp: `softmax(scale·x)·d_y`.
fn log_sum_exp_backward_row<R: Real>(op: &Rowwise, x: &[R], d_y: R, d_x: &mut [R]) {
    let soft = Rowwise { function: RowFunction::Softmax, ..op.clone() };
    forward_row(&soft, x, d_x);
    for (x, d_x) in x.iter().zip(d_x) {
        if x.value() != f64::NEG_INFINITY {
            *d_x = R::from_f64(f64::from(op.scale)) * (*d_x * d_y);
        }
    }
}

/// Writes one row of the gradient of softmax or log-softmax.
fn backward_row<R: Real>(op: &Rowwise, y: &[R], d_y: &[R], d_x: &mut [R]) {
    let scale = R::from_f64(f64::from(op.scale));
    match content(y) {
        Content::Nan => return d_x.fill(R::nan()),
        Content::Empty => return,
        Content::Finite => {}
    }
    let exp = |x: R| if x.value() == f64::NEG_INFINITY { R::from_f64(0.0) } else { x.exp() };
    let mut sum = R::Sum::default();
    match op.function {
        RowFunction::Softmax => y.iter().zip(d_y).for_each(|(&y, &g)| sum.add_product(y, g)),
        _ => d_y.iter().for_each(|&g| sum.add(g)),
    }
    let sum = sum.total_in_depth(depth(op.cols));
    for (j, d_x) in d_x.iter_mut().enumerate() {
        *d_x = match op.function {
            RowFunction::Softmax => scale * (y[j] * (d_y[j] - sum)),
            _ => scale * (d_y[j] - exp(y[j]) * sum),
        };
    }
}

impl Reference for RowwiseBackward {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let op = &self.forward;
        let mut d_x = vec![R::from_f64(0.0); op.rows * op.cols];
        for (row, d_x) in d_x.chunks_mut(op.cols).enumerate() {
            let len = row_len(op, inputs, row);
            let (wide, d_y) = (row * op.cols..row * op.cols + len, inputs.float("d_y"));
            match op.function {
                RowFunction::LogSumExp => {
                    log_sum_exp_backward_row(op, &inputs.float("x")[wide], d_y[row], &mut d_x[..len]);
                }
                _ => backward_row(op, &inputs.float("y")[wide.clone()], &d_y[wide], &mut d_x[..len]),
            }
        }
        Values { floats: [("d_x".to_string(), d_x)].into(), ints: [].into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        cases::backward(seed)
    }

    const PLANNED: u64 = cases::PLANNED;

    /// Puts `y` in the place of `x`, if there is one, unless the gradient reads `x`.
    fn complete(&self, mut inputs: Tensors) -> Tensors {
        if self.forward.function != RowFunction::LogSumExp && inputs.get("x").is_some() {
            inputs.insert("y", outputs(&self.forward, &inputs)["y"].clone());
            inputs.take("x");
        }
        inputs
    }
}
