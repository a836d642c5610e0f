//! Prologue and epilogue: a map of rows, `y = last ∘ φ(gain ∘ norm(first ∘ x))`, where the factor is the first or the last.

use gatefold_core::attention::{Activation, FeatureMap, QueryScale, RowNorm};
use gatefold_core::{Attention, Dtype};

use super::feature_map::{feature, feature_gradient};
use super::geometry::{Sequence, sequences};
use super::penalty;
use super::score::host_constant;
use super::weight::sigmoid;
use crate::real::Accumulator;
use crate::{Real, Values};

/// Smallest normal number of f16.
const LEAST_F16: f64 = 1.0 / 16384.0;

/// A number that is written to memory and read again: in f16 it saturates.
pub(crate) fn stored<R: Real>(x: R, dtype: Dtype) -> R {
    match dtype {
        Dtype::F16 if x.value().is_finite() => x.clamp(65504.0).through_f16(LEAST_F16),
        _ => x,
    }
}

/// All of them stored.
pub(crate) fn all_stored<R: Real>(all: Vec<R>, dtype: Dtype) -> Vec<R> {
    all.into_iter().map(|x| stored(x, dtype)).collect()
}

/// `act(x)`, and its derivative.
fn activate<R: Real>(activation: Activation, x: R) -> (R, R) {
    let one = R::from_f64(1.0);
    match activation {
        Activation::Identity => (x, one),
        Activation::Sigmoid => (sigmoid(x), sigmoid(x) * sigmoid(-x)),
        Activation::Silu => (x * sigmoid(x), sigmoid(x) * (one + x * sigmoid(-x))),
        // the derivative is 1 − y², which a kernel forms as (1 − y)·(1 + y)
        Activation::Tanh => (x.tanh(), (one - (x.tanh() * x.tanh()).charge(14.0)).charge(4.0)),
    }
}

/// What a map does to a row.
#[derive(Clone, Copy)]
pub(crate) struct RowMap<'a, R> {
    pub(crate) norm: Option<RowNorm>,
    /// A number per dim; empty if there is none.
    pub(crate) gain: &'a [R],
    pub(crate) feature: Option<FeatureMap>,
    /// Whether the factor comes before the norm.
    pub(crate) first: bool,
}

/// The factor of a row: none, one number, or a number per dim. Each with its derivative by what is given.
pub(crate) type Factor<R> = Vec<(R, R)>;

/// The gradients of one row.
pub(crate) struct RowGradient<R> {
    pub(crate) d_x: Vec<R>,
    /// As many as there are factors.
    pub(crate) d_factor: Vec<R>,
    /// What the row adds to the gradient of the gain.
    pub(crate) d_gain: Vec<R>,
}

pub(super) fn is_broken<R: Real>(row: &[R]) -> bool {
    row.iter().any(|x| !x.value().is_finite())
}

fn by_dim<R: Real>(factor: &Factor<R>, d: usize) -> R {
    match factor.len() {
        0 => R::from_f64(1.0),
        1 => factor[0].0,
        _ => factor[d].0,
    }
}

impl<R: Real> RowMap<'_, R> {
    fn gain(&self, d: usize) -> R {
        self.gain.get(d).copied().unwrap_or_else(|| R::from_f64(1.0))
    }

    fn factors(&self, factor: &Factor<R>, d: usize) -> (R, R) {
        let (one, f) = (R::from_f64(1.0), by_dim(factor, d));
        if self.first { (f, one) } else { (one, f) }
    }

    /// The normalised row, and what it was multiplied by.
    fn normalized(&self, u: &[R]) -> (Vec<R>, R) {
        let width = R::from_f64(u.len() as f64);
        let Some(norm) = self.norm else { return (u.to_vec(), R::from_f64(1.0)) };
        let eps = R::from_f64(f64::from(norm.eps()));
        let (row, r) = match norm {
            RowNorm::L2 { eps } => {
                let least = host_constant(f64::from(eps) * f64::from(eps));
                (u.to_vec(), R::dot(u, u).max(least).inverse_sqrt())
            }
            RowNorm::Rms { .. } => (u.to_vec(), (R::dot(u, u) / width + eps).inverse_sqrt()),
            RowNorm::Layer { .. } => {
                let mean = R::sum(u.iter().copied()) / width;
                let centred: Vec<R> = u.iter().map(|&x| x - mean).collect();
                let r = (R::dot(&centred, &centred) / width + eps).inverse_sqrt();
                (centred, r)
            }
        };
        (row.into_iter().map(|x| x * r).collect(), r)
    }

    /// `y`. What is normalised and has a number that is not finite is NaN in all dims.
    pub(crate) fn forward(&self, x: &[R], factor: &Factor<R>) -> Vec<R> {
        let u: Vec<R> = x.iter().enumerate().map(|(d, &x)| self.factors(factor, d).0 * x).collect();
        if self.norm.is_some() && is_broken(&u) {
            return vec![R::nan(); x.len()];
        }
        let scaled = |(d, n): (usize, R)| match self.feature {
            None => self.factors(factor, d).1 * self.gain(d) * n,
            map => self.factors(factor, d).1 * feature(map, self.gain(d) * n),
        };
        self.normalized(&u).0.into_iter().enumerate().map(scaled).collect()
    }

    /// The gradients of a row whose `y` has the gradient `d_y`.
    pub(crate) fn backward(&self, x: &[R], factor: &Factor<R>, d_y: &[R]) -> RowGradient<R> {
        let width = x.len();
        let u: Vec<R> = (0..width).map(|d| self.factors(factor, d).0 * x[d]).collect();
        let broken = is_broken(&u) || is_broken(d_y);
        if broken && self.norm.is_some() {
            let nan = |n| vec![R::nan(); n];
            return RowGradient { d_x: nan(width), d_factor: nan(factor.len()), d_gain: nan(width) };
        }
        let (n, r) = self.normalized(&u);
        // the gradient of what is mapped, but for the factor
        let d_mapped: Vec<R> = match self.feature {
            None => d_y.to_vec(),
            map => (0..width).map(|d| feature_gradient(map, self.gain(d) * n[d], d_y[d])).collect(),
        };
        let d_n: Vec<R> = (0..width).map(|d| self.factors(factor, d).1 * self.gain(d) * d_mapped[d]).collect();
        let d_u = self.norm_backward(&n, r, &d_n);
        let by_factor: Vec<R> = (0..width)
            .map(|d| if self.first { x[d] * d_u[d] } else { d_y[d] * feature(self.feature, self.gain(d) * n[d]) })
            .collect();
        let d_factor = match factor.len() {
            0 => Vec::new(),
            1 if broken || is_broken(&by_factor) => vec![R::nan()],
            1 => vec![R::sum(by_factor) * factor[0].1],
            _ => by_factor.iter().zip(factor).map(|(&g, f)| g * f.1).collect(),
        };
        let d_x = (0..width).map(|d| self.factors(factor, d).0 * d_u[d]).collect();
        let d_gain = (0..width).map(|d| self.factors(factor, d).1 * d_mapped[d] * n[d]).collect();
        RowGradient { d_x, d_factor, d_gain }
    }

    /// From the gradient of `n = norm(u)` to that of `u`.
    fn norm_backward(&self, n: &[R], r: R, d_n: &[R]) -> Vec<R> {
        let (width, along) = (R::from_f64(n.len() as f64), R::dot(n, d_n));
        let (along, mean) = match self.norm {
            None => return d_n.to_vec(),
            // a row that is shorter than eps is divided by a constant
            Some(RowNorm::L2 { eps }) if r.value() >= (1.0 - 1e-6) / f64::from(eps) => {
                (R::from_f64(0.0), R::from_f64(0.0))
            }
            Some(RowNorm::L2 { .. }) => (along, R::from_f64(0.0)),
            Some(RowNorm::Rms { .. }) => (along / width, R::from_f64(0.0)),
            Some(RowNorm::Layer { .. }) => (along / width, R::sum(d_n.iter().copied()) / width),
        };
        n.iter().zip(d_n).map(|(&n, &g)| (g - mean - n * along) * r).collect()
    }
}

/// A kind of row that prologue or epilogue map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Query,
    Key,
    Value,
    Output,
}

/// The rows of one kind: what the map is, and where a row and its factor lie.
pub(crate) struct Rows<'a, R> {
    op: &'a Attention,
    inputs: &'a Values<R>,
    kind: Kind,
}

impl<'a, R: Real> Rows<'a, R> {
    pub(crate) fn new(op: &'a Attention, inputs: &'a Values<R>, kind: Kind) -> Self {
        Self { op, inputs, kind }
    }

    pub(crate) fn map(&self) -> RowMap<'a, R> {
        let (p, e) = (&self.op.prologue, &self.op.epilogue);
        let (norm, gain, feature, first) = match self.kind {
            Kind::Query => (p.query_norm, "q_gain", p.feature_map, false),
            Kind::Key => (p.key_norm, "k_gain", p.feature_map, false),
            Kind::Value => (None, "", None, false),
            Kind::Output => (e.norm, "o_gain", None, !e.gate_last),
        };
        RowMap { norm, gain: self.inputs.float(gain), feature, first }
    }

    /// Every row that counts: its sequence, its position and its row in memory.
    pub(crate) fn all(&self) -> Vec<(Sequence, usize, usize, usize)> {
        let (op, d) = (self.op, &self.op.dims);
        let mut found = Vec::new();
        for s in sequences(op, self.inputs) {
            match self.kind {
                Kind::Query | Kind::Output => found.extend((0..d.q_heads).flat_map(|h| {
                    let s = s.clone();
                    (0..s.len_q).map(move |i| (s.clone(), h, i, s.query_row(op, h, i)))
                })),
                Kind::Key | Kind::Value => found.extend((0..d.kv_heads).flat_map(|h| {
                    let s = s.clone();
                    (0..s.len_kv).map(move |j| (s.clone(), h, j, s.key_row(op, h * op.dims.group(), j)))
                })),
            }
        }
        found
    }

    /// The element of a number per row.
    pub(crate) fn stat(&self, s: &Sequence, head: usize, i: usize) -> usize {
        match self.kind {
            Kind::Query | Kind::Output => s.stat(self.op, head, i),
            Kind::Key | Kind::Value => s.key_stat(self.op, head, i),
        }
    }

    pub(crate) fn factor(&self, s: &Sequence, head: usize, i: usize, row: usize) -> Factor<R> {
        let op = self.op;
        let given = |name: &str, activation| vec![activate(activation, self.inputs.float(name)[self.stat(s, head, i)])];
        match (self.kind, op.prologue.query_scale, op.prologue.value_scale, op.epilogue.gate) {
            (Kind::Query, Some(QueryScale::Given), ..) => given("query_scale", Activation::Identity),
            (Kind::Query, Some(QueryScale::LogKeys), ..) => {
                let seen = (0..s.len_kv).filter(|&j| s.visible(op, i, j)).count().max(1);
                let factor: R = host_constant((op.dims.head_dim as f64).ln());
                let factor = factor * host_constant((seen as f64).ln());
                vec![(factor, R::from_f64(0.0))]
            }
            (Kind::Value, _, Some(activation), _) => given("value_scale", activation),
            (Kind::Output, .., Some(gate)) if gate.per_head => given("gate", gate.activation),
            (Kind::Output, .., Some(gate)) => {
                let width = op.dims.val_dim;
                let logits = &self.inputs.float("gate")[row * width..(row + 1) * width];
                logits.iter().map(|&x| activate(gate.activation, x)).collect()
            }
            _ => Vec::new(),
        }
    }

    fn width(&self) -> usize {
        match self.kind {
            Kind::Query | Kind::Key => self.op.dims.head_dim,
            Kind::Value | Kind::Output => self.op.dims.val_dim,
        }
    }

    /// All rows mapped; rows that do not count are 0.
    pub(crate) fn forward(&self, x: &[R]) -> Vec<R> {
        let (map, width) = (self.map(), self.width());
        let mut y = vec![R::from_f64(0.0); x.len()];
        for (s, head, i, row) in self.all() {
            let at = row * width..(row + 1) * width;
            let mapped = map.forward(&x[at.clone()], &self.factor(&s, head, i, row));
            y[at].copy_from_slice(&mapped);
        }
        y
    }

    /// The gradients of all rows: `d_x`, that of the factors (as they lie in memory) and that of the gain.
    pub(crate) fn backward(&self, x: &[R], d_y: &[R], factors: usize) -> RowGradient<R> {
        let (map, width, zero) = (self.map(), self.width(), R::from_f64(0.0));
        let mut d_x = vec![zero; x.len()];
        let mut d_factor = vec![zero; factors];
        let mut d_gain = vec![R::Sum::default(); width];
        let mut broken = false;
        let rows = self.all();
        for (s, head, i, row) in &rows {
            let at = row * width..(row + 1) * width;
            let factor = self.factor(s, *head, *i, *row);
            let found = map.backward(&x[at.clone()], &factor, &d_y[at.clone()]);
            match found.d_factor[..] {
                [] => {}
                [only] if factors > 0 => d_factor[self.stat(s, *head, *i)] = only,
                [_] => {}
                _ => d_factor[at.clone()].copy_from_slice(&found.d_factor),
            }
            d_x[at].copy_from_slice(&found.d_x);
            broken |= is_broken(&found.d_gain);
            d_gain.iter_mut().zip(&found.d_gain).for_each(|(sum, &g)| sum.add(g));
        }
        let total = |sum: &R::Sum| if broken { R::nan() } else { sum.total_in_depth(64 + rows.len().div_ceil(64)) };
        RowGradient { d_x, d_factor, d_gain: d_gain.iter().map(total).collect() }
    }
}

/// The kinds of rows that an op's prologue maps, and their operands.
pub(crate) fn prologue_kinds(op: &Attention) -> Vec<(Kind, &'static str)> {
    let p = &op.prologue;
    let mut all = Vec::new();
    all.extend(p.maps_queries().then_some((Kind::Query, "q")));
    all.extend(p.maps_keys().then_some((Kind::Key, "k")));
    all.extend(p.value_scale.is_some().then_some((Kind::Value, "v")));
    all
}

/// The inputs with `q̂ k̂ v̂` for `q k v`.
pub(crate) fn prologue<R: Real>(op: &Attention, inputs: &Values<R>) -> Values<R> {
    let mut all = inputs.clone();
    for (kind, name) in prologue_kinds(op) {
        let rows = Rows::new(op, inputs, kind).forward(inputs.float(name));
        all.floats.insert(name.into(), rows.into_iter().map(|x| stored(x, op.dtype)).collect());
    }
    if let Some(bias) = penalty::key_bias(op, inputs, all.float("k")) {
        all.floats.insert("key_bias".into(), bias);
    }
    all
}
