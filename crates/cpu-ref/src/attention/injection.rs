//! Injection from its definition: `y_i = (1 − σ(l_h))·x_i + σ(l_h)·t_h` in the rows that it concerns, `y_i = x_i` in all others. Its planned cases.

use gatefold_core::attention::{Causal, Dims, Epilogue, Injection, Sequences, Weight};
use gatefold_core::{Attention, Dtype};

use super::draw::{Draw, Plant};
use super::geometry::sequences;
use super::weight::sigmoid;
use crate::real::Accumulator;
use crate::{Real, Values};

/// The gradients.
pub(crate) struct Gradient<R> {
    pub(crate) d_x: Vec<R>,
    pub(crate) d_logit: Vec<R>,
    pub(crate) d_vector: Vec<R>,
}

/// Head and row in memory of everything that is injected into.
fn injected<R: Real>(op: &Attention, inputs: &Values<R>) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let Some(which) = op.epilogue.injection else { return all };
    for s in sequences(op, inputs) {
        let first = if which == Injection::LastRow { s.len_q.saturating_sub(1) } else { 0 };
        for h in 0..op.dims.q_heads {
            all.extend((first..s.len_q).map(|i| (h, s.query_row(op, h, i))));
        }
    }
    all
}

/// `y` of the core's output `x`, which it is without injection.
pub(crate) fn forward<R: Real>(op: &Attention, inputs: &Values<R>, mut x: Vec<R>) -> Vec<R> {
    let width = op.dims.val_dim;
    for (h, row) in injected(op, inputs) {
        let logit = inputs.float("inject_logit")[h];
        for d in 0..width {
            let at = row * width + d;
            x[at] = sigmoid(-logit) * x[at] + sigmoid(logit) * inputs.float("task_vector")[h * width + d];
        }
    }
    x
}

/// The gradients of what has the output gradient `d_y`.
pub(crate) fn backward<R: Real>(op: &Attention, inputs: &Values<R>, x: &[R], d_y: &[R]) -> Gradient<R> {
    let (width, heads, vector) = (op.dims.val_dim, op.dims.q_heads, inputs.float("task_vector"));
    let mut d_x = d_y.to_vec();
    let mut logits = vec![R::Sum::default(); heads];
    let mut vectors = vec![R::Sum::default(); heads * width];
    let mut broken = [vec![false; heads], vec![false; heads * width]];
    for (h, row) in injected(op, inputs) {
        let logit = inputs.float("inject_logit")[h];
        let (share, rest) = (sigmoid(logit), sigmoid(-logit));
        let mut along = Vec::new();
        for d in 0..width {
            let (at, to) = (row * width + d, h * width + d);
            along.push(vector[to] - x[at]);
            d_x[at] = rest * d_y[at];
            broken[0][h] |= !x[at].value().is_finite() || !d_y[at].value().is_finite();
            broken[1][to] |= !d_y[at].value().is_finite();
            vectors[to].add(share * d_y[at]);
        }
        logits[h].add(share * rest * R::dot(&along, &d_y[row * width..(row + 1) * width]));
    }
    let total = |(sum, &broken): (&R::Sum, &bool)| if broken { R::nan() } else { sum.total() };
    let d_logit = logits.iter().zip(&broken[0]).map(total).collect();
    Gradient { d_x, d_logit, d_vector: vectors.iter().zip(&broken[1]).map(total).collect() }
}

/// How many planned cases there are.
pub(super) const COUNT: usize = 6;

/// The planned cases.
pub(super) fn planned() -> Vec<Draw> {
    let with = |which, op| Attention {
        epilogue: Epilogue { injection: Some(which), ..Epilogue::default() },
        causal: Causal::BottomRight,
        ..op
    };
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q: 19, seq_kv: 22, head_dim: 8, val_dim: 6, batch: 2 };
    let base = Attention::softmax(dims);
    let half = Attention { dtype: Dtype::F16, weight: Weight::Sigmoid, ..base.clone() };
    let packed = Sequences::Packed { total_q: 33, total_kv: 40 };
    let padded = Sequences::Padded { q: true, kv: true };
    let case = |op: Attention, what: &str| Draw::ordinary(op, format!("injection, {what}; may be degenerate"));
    let last = with(Injection::LastRow, base.clone());
    vec![
        case(with(Injection::EveryRow, base.clone()).saving(true), "every row"),
        case(last.clone(), "last row"),
        case(Attention { sequences: packed, ..last.clone() }.saving(true), "last row, packed"),
        case(Attention { sequences: padded, ..with(Injection::EveryRow, half.clone()) }, "every row, padded"),
        case(Attention { sequences: packed, ..with(Injection::EveryRow, half) }, "every row, packed"),
        Draw { plant: Some(Plant::NanValue), ..case(last, "a value that is NaN") },
    ]
}
