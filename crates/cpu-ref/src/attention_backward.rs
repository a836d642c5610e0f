//! The gradient of attention by its formulas, pair by pair, from the forward op's own outputs `o` and `lse`.
//!
//! One key has softmax weight 1, whatever its score, so its value takes the whole gradient and nothing else has any:
//!
//! ```
//! use gatefold_core::{Attention, AttentionBackward, Tensor, Tensors, attention::Dims};
//! use gatefold_cpu_ref::{Reference, outputs};
//!
//! let spec = AttentionBackward::new(Attention::softmax(Dims::new(1, 1, 1, 1)));
//! let one = |x: f32| Tensor::f32([1, 1, 1, 1], vec![x]).unwrap();
//! let inputs = Tensors::new().with("q", one(1.0)).with("k", one(2.0)).with("v", one(3.0)).with("d_o", one(4.0));
//! let gradient = outputs(&spec, &spec.complete(inputs)); // adds `o` and `lse`
//! assert_eq!((gradient["d_v"].to_f32()[0], gradient["d_k"].to_f32()[0]), (4.0, 0.0));
//! ```

use gatefold_core::attention::{Normalizer, Weight};
use gatefold_core::{Attention, AttentionBackward, SpecError, Tensors};

use crate::attention::cases;
use crate::attention::custom::check_rust;
use crate::attention::dropout::drop;
use crate::attention::frobenius::Head;
use crate::attention::geometry::{Sequence, sequences};
use crate::attention::gradient_rows::Rows;
use crate::attention::local_linear;
use crate::attention::reweight::{self, Measure};
use crate::attention::score::{Score, Scores};
use crate::attention::weight::{row_correction, row_share, weight, weight_at_infinity, weight_slope};
use crate::attention::{dressed, feature_map, penalty, sink};
use crate::real::Accumulator;
use crate::{Case, Real, Reference, Values, outputs};

/// What the weights of a row share.
#[derive(Clone, Copy)]
enum Shared<R> {
    /// A softmax row's `lse` and `delta`.
    Softmax(R, R),
    /// `1/n` of a normaliser, and what it takes from `d_o·v`.
    Normalized(R, R),
    /// What re-weighted weights share.
    Reweighted(reweight::Shared<R>),
    /// What the pairs of a head share.
    Head(Head<R>),
    /// What local-linear rows share.
    LocalLinear(local_linear::Shared<R>),
    /// Nothing.
    Nothing,
}

/// A pair's weight and the gradient of its score with and without the softcap.
struct Pair<R> {
    /// As it counts after dropout.
    p: R,
    /// With respect to `z`, where the biases are.
    dz: R,
    /// With respect to `scale·q·k`.
    ds: R,
    /// With respect to `r·k`.
    dt: R,
}

/// All gradients in the making.
struct Gradients<'a, R: Real> {
    spec: &'a AttentionBackward,
    scores: Scores<'a, R>,
    inputs: &'a Values<R>,
    d_q: Rows<R>,
    d_r: Rows<R>,
    d_k: Rows<R>,
    d_v: Rows<R>,
    head_bias: Vec<R::Sum>,
    key_bias: Vec<R::Sum>,
    score_bias: Vec<R::Sum>,
    slopes: Vec<R::Sum>,
    relative_bias: Vec<R::Sum>,
    sink: sink::Gradient<R>,
    log_norm: Vec<R>,
    /// Of the head at hand, if its pairs share something.
    head: Option<Head<R>>,
    rho: Vec<R::Sum>,
    bias: R::Sum,
    /// `Σ_j dz` by row of `q`, for a penalty on queries.
    row_sums: Vec<R::Sum>,
}

impl<'a, R: Real> Gradients<'a, R> {
    fn new(spec: &'a AttentionBackward, inputs: &'a Values<R>) -> Self {
        let d = &spec.forward.dims;
        let like = |name: &str| vec![R::Sum::default(); inputs.float(name).len()];
        let rows = |name: &str, width: usize| Rows::new(inputs.float(name).len(), width);
        Self {
            spec,
            scores: Scores::new(&spec.forward, inputs),
            inputs,
            d_q: rows("q", d.head_dim),
            d_r: rows("r", d.head_dim),
            d_k: rows("k", d.head_dim),
            d_v: rows("v", d.val_dim),
            head_bias: like("head_bias"),
            key_bias: like("key_bias"),
            score_bias: like("score_bias"),
            slopes: like("alibi_slopes"),
            relative_bias: like("relative_bias"),
            sink: sink::Gradient::new(&spec.forward, inputs),
            log_norm: vec![R::from_f64(0.0); inputs.float("log_norm").len()],
            head: None,
            rho: like("rho"),
            bias: R::Sum::default(),
            row_sums: vec![R::Sum::default(); inputs.float("q").len() / d.head_dim],
        }
    }

    /// A head, before its rows.
    fn enter(&mut self, s: &Sequence, h: usize) {
        self.head = Head::new(&self.spec.forward, self.inputs, s, h);
        if let Some(head) = self.head {
            self.rho[h].add(head.d_rho);
        }
    }

    /// One query row.
    fn add_row(&mut self, s: &Sequence, h: usize, i: usize, seen: &[(usize, Score<R>)]) {
        let op: &Attention = &self.spec.forward;
        let (row, width) = (s.query_row(op, h, i), op.dims.val_dim);
        let is_nan = |z: &Score<R>| z.is_nan(op);
        let of_sink = sink::score(&self.scores, self.inputs, s, [h, i]);
        let lost = self.scores.query_is_nan(row) || self.head.is_some_and(|head| head.is_broken());
        let lost = lost || of_sink.as_ref().is_some_and(is_nan);
        let d_o = &self.inputs.float("d_o")[row * width..(row + 1) * width];
        let lost = lost || d_o.iter().any(|x| !x.value().is_finite());
        let any = lost || seen.iter().any(|(_, z)| is_nan(z));
        let whole = lost || (op.couples_row() && any);
        let delta = op.needs_delta().then(|| self.delta(s, h, i, d_o));
        let shared =
            self.reweighted(s, (h, i), self.shared([row, s.stat(op, h, i)], delta), if whole { &[] } else { seen });
        self.d_q.nan[row] |= any;
        if op.local_linear {
            self.d_r.nan[row] |= any;
        }
        if let (Shared::Softmax(lse, delta), Some(sink)) = (shared, of_sink) {
            self.sink.add_row(&self.scores, (h, row), sink, (!whole).then_some([lse, delta]));
        }
        if let (Normalizer::LearnedExp, Some(delta)) = (op.normalizer, delta) {
            self.log_norm[s.stat(op, h, i)] = if any { R::nan() } else { -delta };
        }
        for &(j, score) in seen {
            let key = s.key_row(op, h, j);
            if whole || is_nan(&score) {
                self.d_k.nan[key] = true;
                self.d_v.nan[key] = true;
                self.add_biases(s, h, i, j, R::nan());
                continue;
            }
            let Some(pair) = self.pair(score, [row, key], shared, d_o, [s.b, h, i, j]) else {
                continue;
            };
            self.d_v.add(key, pair.p, d_o);
            if let Score::Finite { .. } = score {
                self.d_q.add(row, pair.ds, self.scores.key(key));
                if op.local_linear {
                    self.d_r.add(row, pair.dt, self.scores.key(key));
                    self.d_k.add(key, pair.ds * self.scores.scale(), self.scores.query(row));
                    self.d_k.add(key, pair.dt, self.scores.slope(row));
                } else {
                    self.d_k.add(key, pair.ds, self.scores.query(row));
                }
                self.add_biases(s, h, i, j, pair.dz);
            }
        }
    }

    /// `d_o·o` of a row, less the upstream gradient of its `lse`.
    fn delta(&self, s: &Sequence, h: usize, i: usize, d_o: &[R]) -> R {
        let op = &self.spec.forward;
        let (row, width) = (s.query_row(op, h, i), op.dims.val_dim);
        let delta = R::dot(d_o, &self.inputs.float("o")[row * width..(row + 1) * width]);
        self.inputs.float("d_lse").get(s.stat(op, h, i)).map_or(delta, |&g| delta - g)
    }

    /// What the weights of a row share, from what the forward pass saved.
    fn shared(&self, [row, stat]: [usize; 2], delta: Option<R>) -> Shared<R> {
        let op = &self.spec.forward;
        let zero = R::from_f64(0.0);
        let saved = op.saved().map_or(zero, |name| self.inputs.float(name)[stat]);
        let delta = delta.unwrap_or(zero);
        match (op.weight, op.normalizer) {
            (Weight::Softmax, _) if op.local_linear => {
                Shared::LocalLinear(local_linear::Shared::of(op, self.inputs, [row, stat], [saved, delta]))
            }
            (Weight::Softmax, _) => Shared::Softmax(saved, delta),
            (_, Normalizer::None) => Shared::Nothing,
            (_, Normalizer::GlobalFrobenius(_)) => self.head.map_or(Shared::Nothing, Shared::Head),
            (_, normalizer) => {
                let log_norm = self.inputs.float("log_norm").get(stat).copied();
                let share = row_share(normalizer, saved, log_norm);
                Shared::Normalized(share, row_correction(normalizer, saved, delta))
            }
        }
    }

    /// What the weights of a row share if they are re-weighted.
    fn reweighted(
        &self,
        s: &Sequence,
        (h, i): (usize, usize),
        shared: Shared<R>,
        seen: &[(usize, Score<R>)],
    ) -> Shared<R> {
        let (op, width) = (&self.spec.forward, self.spec.forward.dims.val_dim);
        let (row, stat) = (s.query_row(op, h, i), s.stat(op, h, i));
        let saved = |at: usize| op.measures().get(at).map_or(R::from_f64(0.0), |name| self.inputs.float(name)[stat]);
        let d_p = |j: usize| {
            let d_o = &self.inputs.float("d_o")[row * width..(row + 1) * width];
            let d_p = R::dot(d_o, self.scores.values(s.key_row(op, h, j)));
            drop(op, self.scores.seed, [s.b, h, i, j], d_p).unwrap_or_else(|| R::from_f64(0.0))
        };
        match (shared, Measure::saved(op, s, i, saved(0), saved(1))) {
            (Shared::Normalized(share, delta), Some(measure)) => {
                Shared::Reweighted(reweight::Shared::of(&self.scores, measure, [share, delta], seen, d_p))
            }
            _ => shared,
        }
    }

    /// `None` for a pair of weight 0 that has no gradient.
    fn pair(
        &self,
        score: Score<R>,
        [row, key]: [usize; 2],
        shared: Shared<R>,
        d_o: &[R],
        place: [usize; 4],
    ) -> Option<Pair<R>> {
        let (of, zero) = (&self.spec.forward, R::from_f64(0.0));
        let dropped = |x: R| drop(of, self.scores.seed, place, x).unwrap_or(zero);
        let (z, slope) = match score {
            Score::Finite { z, slope } => (z, slope),
            Score::PlusInfinity => {
                let a = weight_at_infinity(of, 1.0);
                let p = match shared {
                    Shared::Normalized(share, _) | Shared::Head(Head { share, .. }) => a * share,
                    Shared::Reweighted(row) => row.p(a),
                    _ => a,
                };
                return Some(Pair { p: dropped(p), dz: zero, ds: zero, dt: zero });
            }
            Score::MinusInfinity | Score::Nan => return None,
        };
        let d_p = dropped(R::dot(d_o, self.scores.values(key)));
        let mut dt = zero;
        let (p, dz) = match shared {
            Shared::LocalLinear(of_row) => {
                let pair = of_row.pair(&self.scores, [row, key], [z, d_p]);
                dt = pair.dt;
                (pair.weight, pair.dz)
            }
            Shared::Softmax(lse, delta) => {
                let p = (z - lse).exp();
                (p, p * (d_p - delta))
            }
            Shared::Normalized(share, correction) => {
                (weight(of, z) * share, weight_slope(of, z) * (d_p - correction) * share)
            }
            Shared::Reweighted(row) => {
                let a = weight(of, z);
                (row.p(a), weight_slope(of, z) * row.d_weight(a, d_p))
            }
            Shared::Head(head) => {
                let a = weight(of, z);
                (a * head.share, weight_slope(of, z) * (d_p * head.share - a * head.correction))
            }
            Shared::Nothing => (weight(of, z), weight_slope(of, z) * d_p),
        };
        let bends = of.softcap.is_some() || of.custom.score_mod.is_some();
        let ds = if bends { dz * slope } else { dz };
        Some(Pair { p: dropped(p), dz, ds, dt })
    }

    fn add_biases(&mut self, s: &Sequence, h: usize, i: usize, j: usize, dz: R) {
        let (spec, op) = (self.spec, &self.spec.forward);
        if op.head_bias {
            self.head_bias[h].add(dz);
        }
        if op.key_bias {
            self.key_bias[s.key_bias(op, h, j)].add(dz);
        }
        if op.score_bias.is_some() {
            self.score_bias[s.score_bias(op, h, i, j)].add(dz);
        }
        if let Some(at) = s.relative(op, h, i, j) {
            self.relative_bias[at].add(dz);
        }
        if op.alibi {
            self.slopes[h].add_product(-dz, R::from_f64(s.distance(i, j)));
        }
        if spec.d_bias {
            self.bias.add(dz);
        }
        if op.prologue.query_penalty.is_some() {
            self.row_sums[s.query_row(op, h, i)].add(dz);
        }
    }

    /// Kernels sum the biases' gradients in stages: along a row or column, over those, then over batch entries and heads.
    fn finish(self) -> Values<R> {
        let (d, scale) = (self.spec.forward.dims, self.scores.scale());
        let depth = d.seq_q + d.seq_kv + d.batch + d.q_heads;
        let staged = |sums: &[R::Sum]| -> Vec<R> { sums.iter().map(|s| s.total_in_depth(depth)).collect() };
        let mut outputs = Values { floats: [].into(), ints: [].into(), ..Values::default() };
        let mut put = |on: bool, name: &str, values: Vec<R>| {
            if on {
                outputs.floats.insert(name.into(), values);
            }
        };
        let f = &self.spec.forward;
        put(f.head_bias, "d_head_bias", staged(&self.head_bias));
        put(f.key_bias, "d_key_bias", staged(&self.key_bias));
        put(f.score_bias.is_some(), "d_score_bias", staged(&self.score_bias));
        put(f.alibi, "d_alibi_slopes", staged(&self.slopes));
        // by steps and elements of tiles, by batch entries and diagonals in sixty-fourths
        let of_table = depth + d.batch * (d.seq_q + d.seq_kv) / 32;
        let table = self.relative_bias.iter().map(|s| s.total_in_depth(of_table)).collect();
        put(f.relative_bias.is_some(), "d_relative_bias", table);
        for ((name, values), on) in self.sink.finish(f, depth).into_iter().zip([f.sink, f.sink_key]) {
            put(on, name, values);
        }
        put(f.normalizer == Normalizer::LearnedExp, "d_log_norm", self.log_norm);
        put(f.normalizer.of_head().is_some(), "d_rho", staged(&self.rho));
        put(self.spec.d_bias, "d_bias", vec![self.bias.total_in_depth(depth)]);
        let mut d_q = self.d_q.finish(Some(scale));
        penalty::subtract_query_gradient(f, self.scores.q, &self.row_sums, &mut d_q);
        self.sink.add_to_queries(f, self.inputs.float("sink_key"), &mut d_q);
        put(true, "d_q", d_q);
        // the sums of two products have their scale already
        put(true, "d_k", self.d_k.finish((!f.local_linear).then_some(scale)));
        put(f.local_linear, "d_r", self.d_r.finish(None));
        put(true, "d_v", self.d_v.finish(None));
        outputs
    }
}

impl Reference for AttentionBackward {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        if !self.forward.is_core() {
            return dressed::gradient(self, inputs);
        }
        let mut all = Gradients::new(self, inputs);
        let mut seen = Vec::new();
        for s in sequences(&self.forward, inputs) {
            for h in 0..self.forward.dims.q_heads {
                all.enter(&s, h);
                for i in 0..s.len_q {
                    all.scores.row(&s, h, i, &mut seen);
                    all.add_row(&s, h, i, &seen);
                }
            }
        }
        all.finish()
    }

    fn case(seed: u64) -> Case<Self> {
        cases::backward(seed)
    }

    const PLANNED: u64 = cases::PLANNED;

    fn check_reference(&self) -> Result<(), SpecError> {
        check_rust(&self.forward)
    }

    /// Slopes of weights and of maps may.
    fn jumps(&self) -> bool {
        matches!(self.forward.weight, Weight::Relu | Weight::ExpClamp(_)) || feature_map::jumps(&self.forward)
    }

    /// Adds what the gradient needs of the forward op's outputs to its inputs.
    fn complete(&self, mut inputs: Tensors) -> Tensors {
        let wanted = self.forward.kept();
        if !wanted.is_empty() {
            let mut forward = outputs(&self.forward.clone().saving(true), &inputs);
            for name in wanted {
                if let Some(t) = forward.take(name) {
                    inputs.insert(name, t);
                }
            }
        }
        inputs
    }
}
