//! A mixture of experts: token by token, expert by expert, from the formula; its gradient likewise. No plan, no permutation.

use gatefold_core::{Dtype, ExpertActivation, ExpertActivationBackward, Moe, MoeBackward, RoutingPlan, Tensors};

use super::composite::{eval, inputs_of, stored, words};
use super::moe_cases as cases;
use crate::real::Accumulator;
use crate::{Case, Real, Reference, Values, outputs};

/// The experts' parameters.
struct Experts<'a, R> {
    op: &'a Moe,
    w_up: &'a [R],
    b_up: &'a [R],
    w_down: &'a [R],
    b_down: &'a [R],
}

/// What an expert makes of a row.
struct Row<R> {
    /// Before the function, `[up]`.
    h: Vec<R>,
    /// After it, `[width]`.
    a: Vec<R>,
    /// `[hidden]`.
    y: Vec<R>,
}

/// Row `row` of a matrix in a stack of matrices.
fn column<R: Copy>(stack: &[R], (matrix, rows, cols): (usize, usize, usize), col: usize) -> Vec<R> {
    (0..rows).map(|row| stack[(matrix * rows + row) * cols + col]).collect()
}

impl<'a, R: Real> Experts<'a, R> {
    fn new(op: &'a Moe, inputs: &'a Values<R>) -> Self {
        let [w_up, b_up, w_down, b_down] = ["w_up", "b_up", "w_down", "b_down"].map(|name| inputs.float(name));
        Self { op, w_up, b_up, w_down, b_down }
    }

    fn dtype(&self) -> Dtype {
        self.op.router.dtype
    }

    /// `x·w_e + b_e`.
    fn product(x: &[R], (w, expert, cols): (&[R], usize, usize), bias: &[R]) -> Vec<R> {
        let sum = |col| R::dot(x, &column(w, (expert, x.len(), cols), col));
        let with_bias = |col: usize| bias.get(expert * cols + col).map_or(sum(col), |&b| sum(col) + b);
        (0..cols).map(with_bias).collect()
    }

    fn function(&self) -> ExpertActivation {
        ExpertActivation { rows: 1, dtype: Dtype::F32, ..self.op.activation() }
    }

    fn row(&self, x: &[R], expert: usize) -> Row<R> {
        let (up, hidden) = (self.op.up(), self.op.router.hidden);
        let h = stored(&Self::product(x, (self.w_up, expert, up), self.b_up), self.dtype());
        let a = stored(eval(&self.function(), &[("h", &h)], &[]).float("y"), self.dtype());
        let y = stored(&Self::product(&a, (self.w_down, expert, hidden), self.b_down), self.dtype());
        Row { h, a, y }
    }
}

/// By assignment: its expert, if it was kept.
fn kept<R: Real>(op: &Moe, weights: &[R], indices: &[u32]) -> Vec<Option<usize>> {
    let plan = RoutingPlan { block: 1, ..op.routing_plan() };
    let inverse = words(&eval(&plan, &[("weights", weights)], &[("indices", indices)]), "inverse");
    let place = |(&row, &expert): (&u32, &u32)| (row as usize) < plan.rows() && (expert as usize) < plan.experts;
    inverse.iter().zip(indices).map(|pair| place(pair).then_some(*pair.1 as usize)).collect()
}

impl Reference for Moe {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let (hidden, top_k) = (self.router.hidden, self.router.gate.top_k);
        let mut made = self.router.eval(&inputs_of(&self.router, inputs));
        let (indices, weights) = (words(&made, "indices"), made.float("weights").to_vec());
        let (experts, x) = (Experts::new(self, inputs), inputs.float("x"));
        let kept = kept(self, &weights, &indices);
        let mut o = Vec::with_capacity(x.len());
        for token in 0..self.router.gate.tokens {
            let mut sums = vec![R::Sum::default(); hidden];
            for at in token * top_k..(token + 1) * top_k {
                let Some(expert) = kept[at] else { continue };
                let row = experts.row(&x[token * hidden..(token + 1) * hidden], expert);
                sums.iter_mut().zip(row.y).for_each(|(sum, y)| sum.add_product(weights[at], y));
            }
            o.extend(sums.iter().map(Accumulator::total));
        }
        made.floats.insert("o".into(), o);
        if self.counts {
            let count = |e: usize| indices.iter().filter(|&&i| i as usize == e).count() as f64;
            let counts = (0..self.router.gate.experts).map(|e| R::from_f64(count(e))).collect();
            made.floats.insert("counts".into(), counts);
        }
        made
    }

    fn case(seed: u64) -> Case<Self> {
        cases::forward(seed)
    }

    const PLANNED: u64 = cases::PLANNED;
}

/// Sums of outer products, by expert.
struct Gradients<R: Real> {
    sums: Vec<R::Sum>,
    rows: usize,
    cols: usize,
}

impl<R: Real> Gradients<R> {
    fn new(experts: usize, rows: usize, cols: usize) -> Self {
        Self { sums: vec![R::Sum::default(); experts * rows * cols], rows, cols }
    }

    fn add(&mut self, expert: usize, left: &[R], right: &[R]) {
        for (row, &a) in left.iter().enumerate() {
            for (col, &b) in right.iter().enumerate() {
                let at = (expert * self.rows + row) * self.cols + col;
                self.sums[at].add_product(a, b);
            }
        }
    }

    fn totals(&self) -> Vec<R> {
        self.sums.iter().map(Accumulator::total).collect()
    }
}

/// `x·w_eᵀ`: the gradient of a row from that of its product.
fn turned<R: Real>(d_y: &[R], w: &[R], expert: usize, rows: usize) -> Vec<R> {
    let cols = d_y.len();
    let line = |row: usize| R::dot(d_y, &w[(expert * rows + row) * cols..][..cols]);
    (0..rows).map(line).collect()
}

impl Reference for MoeBackward {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        let op = &self.forward;
        let (hidden, top_k, n) = (op.router.hidden, op.router.gate.top_k, op.router.gate.experts);
        let (x, d_o, weights) = (inputs.float("x"), inputs.float("d_o"), inputs.float("weights"));
        let (experts, dtype) = (Experts::new(op, inputs), op.router.dtype);
        let kept = kept(op, weights, inputs.int("indices"));
        let mut d_up = Gradients::<R>::new(n, hidden, op.up());
        let mut d_down = Gradients::<R>::new(n, op.width, hidden);
        let mut biases = [Gradients::<R>::new(n, 1, op.up()), Gradients::<R>::new(n, 1, hidden)];
        let mut d_weights = vec![R::from_f64(0.0); weights.len()];
        let mut d_rows = Vec::with_capacity(x.len());
        let d_function = ExpertActivationBackward { forward: experts.function() };
        for token in 0..op.router.gate.tokens {
            let (x, d_o) = (&x[token * hidden..][..hidden], &d_o[token * hidden..][..hidden]);
            let mut sums = vec![R::Sum::default(); hidden];
            for at in token * top_k..(token + 1) * top_k {
                let Some(expert) = kept[at] else { continue };
                let row = experts.row(x, expert);
                d_weights[at] = R::dot(&row.y, d_o);
                let d_y = stored(&d_o.iter().map(|&d| weights[at] * d).collect::<Vec<_>>(), dtype);
                d_down.add(expert, &row.a, &d_y);
                let d_a = stored(&turned(&d_y, experts.w_down, expert, op.width), dtype);
                let d_h = stored(eval(&d_function, &[("h", &row.h), ("d_y", &d_a)], &[]).float("d_h"), dtype);
                d_up.add(expert, x, &d_h);
                let one = [R::from_f64(1.0)];
                biases[0].add(expert, &one, &d_h);
                biases[1].add(expert, &one, &d_y);
                let d_x = stored(&turned(&d_h, experts.w_up, expert, hidden), dtype);
                sums.iter_mut().zip(d_x).for_each(|(sum, d)| sum.add(d));
            }
            d_rows.extend(sums.iter().map(Accumulator::total));
        }
        let mut given = inputs_of(&self.router(), inputs);
        given.floats.insert("d_weights".into(), d_weights);
        let mut made = self.router().eval(&given);
        let gate = stored(made.float("d_x"), dtype);
        let d_x = stored(&d_rows, dtype).iter().zip(gate).map(|(&a, b)| a + b).collect();
        made.floats.insert("d_x".into(), d_x);
        made.floats.insert("d_w_up".into(), d_up.totals());
        made.floats.insert("d_w_down".into(), d_down.totals());
        if op.bias {
            made.floats.insert("d_b_up".into(), biases[0].totals());
            made.floats.insert("d_b_down".into(), biases[1].totals());
        }
        made
    }

    fn case(seed: u64) -> Case<Self> {
        cases::backward(seed)
    }

    const PLANNED: u64 = cases::PLANNED;

    /// Puts the forward pass's logits, weights and indices in their place.
    fn complete(&self, mut inputs: Tensors) -> Tensors {
        let made = outputs(&self.forward.router, &inputs);
        for name in ["logits", "weights", "indices"] {
            inputs.insert(name, made[name].clone());
        }
        inputs.take("selection_bias");
        inputs
    }
}
