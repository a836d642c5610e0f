//! Local-linear attention by what it is said to be: softmax attention without a slope, a ridge regression with the slope that solves it.

use gatefold_core::Attention;
use gatefold_core::attention::{Causal, Dims};
use gatefold_cpu_ref::data::Rng;
use gatefold_cpu_ref::{Reference, Values};

const WIDTH: usize = 4;
const RIDGE: f64 = 0.25;

fn dims() -> Dims {
    Dims { seq_q: 6, val_dim: 3, ..Dims::new(1, 2, 9, WIDTH) }
}

fn drawn(op: &Attention) -> Values<f64> {
    let mut rng = Rng::new(11, 4);
    let d = op.dims;
    let mut draw = |n: usize| -> Vec<f64> { (0..n).map(|_| f64::from(rng.normal())).collect() };
    let (queries, keys) = (d.q_heads * d.seq_q, d.kv_heads * d.seq_kv);
    let floats = [("q", queries * WIDTH), ("k", keys * WIDTH), ("v", keys * d.val_dim), ("r", queries * WIDTH)];
    Values { floats: floats.map(|(name, n)| (name.to_string(), draw(n))).into(), ..Values::default() }
}

fn near(a: &[f64], b: &[f64], by: f64) {
    assert_eq!(a.len(), b.len());
    for (x, y) in a.iter().zip(b) {
        assert!((x - y).abs() <= by * (1.0 + x.abs()), "{x} and {y}");
    }
}

/// `x` of `a·x = b`, by elimination with pivots.
fn solved(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Vec<f64> {
    let n = b.len();
    for c in 0..n {
        let pivot = (c..n).max_by(|&i, &j| a[i][c].abs().total_cmp(&a[j][c].abs())).unwrap();
        a.swap(c, pivot);
        b.swap(c, pivot);
        for i in c + 1..n {
            let (factor, top) = (a[i][c] / a[c][c], a[c].clone());
            a[i].iter_mut().zip(&top).for_each(|(x, t)| *x -= factor * t);
            b[i] -= factor * b[c];
        }
    }
    for c in (0..n).rev() {
        let rest: f64 = (c + 1..n).map(|j| a[c][j] * b[j]).sum();
        b[c] = (b[c] - rest) / a[c][c];
    }
    b
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// `Σ_j weights_j a_j b_jᵀ + ridge·I`.
fn gram(weights: &[f64], rows: &[Vec<f64>], ridge: f64) -> Vec<Vec<f64>> {
    let width = rows[0].len();
    let element = |a: usize, b: usize| {
        let sum: f64 = weights.iter().zip(rows).map(|(w, x)| w * x[a] * x[b]).sum();
        sum + if a == b { ridge } else { 0.0 }
    };
    (0..width).map(|a| (0..width).map(|b| element(a, b)).collect()).collect()
}

fn mean(weights: &[f64], rows: &[Vec<f64>]) -> Vec<f64> {
    (0..rows[0].len()).map(|d| weights.iter().zip(rows).map(|(w, x)| w * x[d]).sum()).collect()
}

/// The keys that a query of a head sees, less the query, their weights and their values.
struct Regression {
    weights: Vec<f64>,
    keys: Vec<Vec<f64>>,
    apart: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
}

impl Regression {
    fn of(op: &Attention, inputs: &Values<f64>, h: usize, i: usize) -> Self {
        let d = op.dims;
        let row = |name: &str, at: usize, width: usize| inputs.float(name)[at * width..(at + 1) * width].to_vec();
        let q = row("q", h * d.seq_q + i, WIDTH);
        let seen = i + d.seq_kv - d.seq_q + 1;
        let keys: Vec<_> = (0..seen).map(|j| row("k", h * d.seq_kv + j, WIDTH)).collect();
        let weight = |k: &Vec<f64>| (f64::from(op.scale_value()) * dot(&q, k)).exp();
        Self {
            weights: keys.iter().map(weight).collect(),
            apart: keys.iter().map(|k| k.iter().zip(&q).map(|(k, q)| k - q).collect()).collect(),
            values: (0..seen).map(|j| row("v", h * d.seq_kv + j, d.val_dim)).collect(),
            keys,
        }
    }

    /// `r = (Cov_P(k) + (λ/ω)·I)⁻¹(k̄ − q)`.
    fn slope(&self) -> Vec<f64> {
        let omega: f64 = self.weights.iter().sum();
        let shares: Vec<f64> = self.weights.iter().map(|w| w / omega).collect();
        let middle = mean(&shares, &self.keys);
        let centred: Vec<Vec<f64>> =
            self.keys.iter().map(|k| k.iter().zip(&middle).map(|(k, m)| k - m).collect()).collect();
        solved(gram(&shares, &centred, RIDGE / omega), mean(&shares, &self.apart))
    }

    /// `Σ_j w_j(1 − x_jᵀρ)v_j / (ω − μᵀρ)`, `ρ = Σ⁻¹μ`.
    fn by_formula(&self) -> Vec<f64> {
        let (omega, mu): (f64, _) = (self.weights.iter().sum(), mean(&self.weights, &self.apart));
        let rho = solved(gram(&self.weights, &self.apart, RIDGE), mu.clone());
        let tilted: Vec<f64> = self.weights.iter().zip(&self.apart).map(|(w, x)| w * (1.0 - dot(x, &rho))).collect();
        mean(&tilted, &self.values).iter().map(|x| x / (omega - dot(&mu, &rho))).collect()
    }

    /// The intercept `a` that minimises `Σ_j w_j(v_j − a − b·x_j)² + λ|b|²`, from its normal equations.
    fn intercept(&self) -> Vec<f64> {
        let with_one: Vec<Vec<f64>> = self.apart.iter().map(|x| [&[1.0], &x[..]].concat()).collect();
        let mut left = gram(&self.weights, &with_one, 0.0);
        (1..=WIDTH).for_each(|d| left[d][d] += RIDGE);
        let right = |e: usize| -> Vec<f64> {
            let weighted: Vec<f64> = self.weights.iter().zip(&self.values).map(|(w, v)| w * v[e]).collect();
            mean(&weighted, &with_one)
        };
        (0..self.values[0].len()).map(|e| solved(left.clone(), right(e))[0]).collect()
    }
}

#[test]
fn without_a_slope_it_is_softmax() {
    let op = Attention::parallax(dims()).saving(true);
    let mut inputs = drawn(&op);
    inputs.floats.insert("r".into(), vec![0.0; inputs.float("r").len()]);
    let (linear, softmax) = (op.eval(&inputs), Attention { local_linear: false, ..op }.eval(&inputs));
    near(linear.float("o"), softmax.float("o"), 1e-14);
    near(linear.float("v_mean"), softmax.float("o"), 1e-14);
    near(linear.float("lse"), softmax.float("lse"), 0.0);
}

#[test]
fn the_slope_that_solves_makes_it_a_ridge_regression() {
    let op = Attention { scale: Some(0.7), ..Attention::parallax(dims()) };
    let mut inputs = drawn(&op);
    let rows = || (0..op.dims.q_heads).flat_map(|h| (0..op.dims.seq_q).map(move |i| (h, i)));
    let all: Vec<_> = rows().map(|(h, i)| Regression::of(&op, &inputs, h, i)).collect();
    inputs.floats.insert("r".into(), all.iter().flat_map(Regression::slope).collect());
    let formula: Vec<f64> = all.iter().flat_map(Regression::by_formula).collect();
    near(&op.eval(&inputs).floats["o"], &formula, 1e-11);
    near(&all.iter().flat_map(Regression::intercept).collect::<Vec<_>>(), &formula, 1e-11);
}

/// What a slope says does not depend on where the keys are, but for their weights: with those held, a shift of all keys changes nothing.
#[test]
fn keys_count_by_their_distance_from_their_mean() {
    let op = Attention { scale: Some(0.0), causal: Causal::None, ..Attention::parallax(dims()) };
    let inputs = drawn(&op);
    let mut moved = inputs.clone();
    moved.floats.insert("k".into(), inputs.float("k").iter().map(|x| x + 5.0).collect());
    near(&op.eval(&inputs).floats["o"], &op.eval(&moved).floats["o"], 1e-12);
    // one key has none
    let one = Attention { dims: Dims { seq_q: 1, ..Dims::new(1, 1, 1, WIDTH) }, ..op };
    let inputs = drawn(&one);
    near(&one.eval(&inputs).floats["o"], inputs.float("v"), 1e-14);
}
