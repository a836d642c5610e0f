//! Attention from its definition: every score of a row, then every weight, then the sum over the values.
//!
//! One key with a score of any size has weight 1, so the output is its value:
//!
//! ```
//! use gatefold_core::{Attention, Tensor, Tensors, attention::Dims};
//! use gatefold_cpu_ref::outputs;
//!
//! let spec = Attention::softmax(Dims::new(1, 1, 1, 2));
//! let row = |a: f32, b: f32| Tensor::f32([1, 1, 1, 2], vec![a, b]).unwrap();
//! let inputs = Tensors::new().with("q", row(1.0, 2.0)).with("k", row(3.0, 4.0)).with("v", row(5.0, 6.0));
//! assert_eq!(outputs(&spec, &inputs)["o"].to_f32(), [5.0, 6.0]);
//! ```

pub(crate) mod affine;
mod affine_cases;
mod cache;
pub(crate) mod cases;
pub(crate) mod custom;
mod custom_cases;
mod diagnostics;
mod distance_cases;
pub(crate) mod draw;
pub(crate) mod dressed;
pub(crate) mod dropout;
mod dropout_cases;
pub(crate) mod feature_map;
mod feature_map_cases;
pub(crate) mod frobenius;
mod frobenius_cases;
mod gate_cases;
pub(crate) mod geometry;
pub(crate) mod gradient_rows;
pub(crate) mod injection;
pub(crate) mod local_linear;
mod local_linear_cases;
mod mask_cases;
mod merge;
mod pairs;
pub(crate) mod penalty;
mod plant;
mod rare_cases;
mod relative_cases;
pub(crate) mod reweight;
mod reweight_cases;
mod rotary;
mod row_cases;
pub(crate) mod rows;
pub(crate) mod score;
pub(crate) mod sink;
mod sink_cases;
mod storage;
mod style;
pub(crate) mod weight;

use gatefold_core::attention::{Normalizer, Weight};
use gatefold_core::{Attention, Op, SpecError};

use crate::real::Accumulator;
use crate::rowwise::softmax_row;
use crate::{Case, Real, Reference, Values};
use geometry::{Sequence, sequences};
use local_linear::Moments;
use reweight::Measure;
use rows::{Kind, Rows};
pub(crate) use score::SATURATION;
use score::{Score, Scores};

/// One output row and the numbers that are saved of it: `lse` or `row_sum`; what re-weighted weights are measured by.
struct Row<R> {
    o: Vec<R>,
    saved: R,
    measures: [R; 2],
    /// Of local-linear rows.
    moments: Moments<R>,
}

impl<R: Real> Row<R> {
    fn empty(width: usize) -> Self {
        let zero = R::from_f64(0.0);
        Self {
            o: vec![zero; width],
            saved: R::from_f64(f64::NEG_INFINITY),
            measures: [zero; 2],
            moments: Moments::empty(width),
        }
    }

    /// A count of keys is a number whatever they hold.
    fn nan(op: &Attention, seen: usize) -> Self {
        let saved = if op.couples_row() { R::nan() } else { R::from_f64(seen as f64) };
        let width = op.dims.val_dim;
        Self { o: vec![R::nan(); width], saved, measures: [R::nan(); 2], moments: Moments::nan(width) }
    }
}

/// Weights that are rounded to f16 are normal numbers from here on: sigmoid weights are formed times 2¹⁵, those of the softmax relative to the
/// largest, or to a number not above it, times 2¹¹.
const LEAST_F16: [f64; 2] = [1.0 / (1u32 << 29) as f64, 1.0 / (1u32 << 25) as f64];
/// What a stale maximum and the factor cost the exponential of a weight, in units of 2⁻²⁴: its argument is larger by 15 or less.
const STALE: f64 = 200.0;

/// `Σ_j m_j w_j v_j` of query `(b, h, i)`, with the factors `m` of its dropout; `weights` by key.
fn weighted_values<R: Real>(
    scores: &Scores<'_, R>,
    s: &Sequence,
    [h, i]: [usize; 2],
    weights: impl Iterator<Item = (usize, R)>,
) -> Vec<R::Sum> {
    let mut sums = vec![R::Sum::default(); scores.op.dims.val_dim];
    let least = LEAST_F16[usize::from(scores.op.weight == Weight::Softmax)];
    for (j, w) in weights {
        let w = if scores.f16_weights { w.through_f16(least) } else { w };
        let Some(w) = dropout::drop(scores.op, scores.seed, [s.b, h, i, j], w) else { continue };
        for (sum, &v) in sums.iter_mut().zip(scores.values(s.key_row(scores.op, h, j))) {
            sum.add_product(w, v);
        }
    }
    sums
}

/// Largest magnitude that a value of these keys may count with.
fn largest_value<R: Real>(scores: &Scores<'_, R>, s: &Sequence, h: usize, keys: &[usize]) -> f64 {
    let scale = scores.op.drops().map_or(1.0, |d| d.scale());
    scale * keys.iter().map(|&j| scores.largest_value(s.key_row(scores.op, h, j))).fold(0.0, f64::max)
}

/// A row whose weights are functions of their own scores.
fn function_output<R: Real>(
    scores: &Scores<'_, R>,
    s: &Sequence,
    [h, i]: [usize; 2],
    seen: &[(usize, Score<R>)],
    log_norm: Option<R>,
) -> Row<R> {
    let op = scores.op;
    let (keys, weights): (Vec<usize>, Vec<R>) = seen
        .iter()
        .map(|&(j, score)| {
            let weight = match score {
                Score::Finite { z, .. } => weight::weight(op, z),
                Score::PlusInfinity => weight::weight_at_infinity(op, 1.0),
                Score::MinusInfinity | Score::Nan => weight::weight_at_infinity(op, -1.0),
            };
            (j, weight)
        })
        .filter(|(_, w): &(usize, R)| w.value() != 0.0 || w.uncertainty() != 0.0)
        .unzip();
    let measure = Measure::of(op, s, i, &weights, seen.len());
    let formed = measure.map_or_else(|| weights.clone(), |m| m.weights(&weights));
    let sums = weighted_values(scores, s, [h, i], keys.iter().copied().zip(formed.iter().copied()));
    let sum = weight::row_sum(op.normalizer, &formed, seen.len());
    let o = sums.iter().map(Accumulator::total);
    let measures = measure.map_or([R::from_f64(0.0); 2], |m| [m.mean, m.most]);
    if op.normalizer == Normalizer::None || op.normalizer.of_head().is_some() {
        return Row { o: o.collect(), saved: sum, measures, moments: Moments::default() };
    }
    let largest = largest_value(scores, s, h, &keys);
    // weights of one sign that add up to 1 or less cannot leave the values' hull by more than a kernel's rounding
    let hull = |x: R| if weight::keeps_hull(op) { x.certain_within(x.value().abs() + 1.02 * largest) } else { x };
    let share = weight::row_share(op.normalizer, sum, log_norm);
    let saved = measure.map_or(sum, |m| R::sum(weights.iter().map(|&a| m.weight(a))));
    Row { o: o.map(|x| hull(x * share)).collect(), saved, measures, moments: Moments::default() }
}

fn softmax_output<R: Real>(
    scores: &Scores<'_, R>,
    s: &Sequence,
    [h, i]: [usize; 2],
    seen: &[(usize, Score<R>)],
    sink: Option<R>,
) -> Row<R> {
    let finite = |&(j, score): &(usize, Score<R>)| match score {
        Score::Finite { z, .. } => Some((j, z)),
        _ => None,
    };
    let (keys, mut logits): (Vec<usize>, Vec<R>) = seen.iter().filter_map(finite).unzip();
    logits.extend(sink);
    let Some(row) = softmax_row(&mut logits, usize::MAX) else {
        return Row::empty(scores.op.dims.val_dim);
    };
    let largest = largest_value(scores, s, h, &keys);
    // weights are not negative and add up to 1, so a kernel cannot leave the values' hull by more than its rounding
    let bound = |x: R| x.certain_within(x.value().abs() + 1.02 * largest);
    let stale = if scores.f16_weights { STALE } else { 0.0 };
    let total = row.total.charge(stale);
    if scores.op.local_linear {
        let (o, moments) = local_linear::output(scores, s, [h, i], (&keys, &logits, total));
        return Row { o, saved: row.lse, measures: [R::from_f64(0.0); 2], moments };
    }
    let sums = weighted_values(scores, s, [h, i], keys.into_iter().zip(logits.into_iter().map(|w| w.charge(stale))));
    let o = sums.iter().map(|x| bound((x.total_rescaled(usize::MAX) / total).charge(2.0))).collect();
    Row { o, saved: row.lse, measures: [R::from_f64(0.0); 2], moments: Moments::default() }
}

/// An attention with a prologue or an epilogue, around its core.
fn dressed_output<R: Real>(op: &Attention, inputs: &Values<R>) -> Values<R> {
    let ready = rows::prologue(op, inputs);
    let mut outputs = op.core().eval(&ready);
    if !op.epilogue.is_none() {
        let core: Vec<R> = outputs.float("o").iter().map(|&x| rows::stored(x, op.dtype)).collect();
        let moved = affine::forward(op, &ready, &core);
        let o = if op.epilogue.maps_rows() {
            Rows::new(op, inputs, Kind::Output).forward(&rows::all_stored(moved, op.dtype))
        } else {
            injection::forward(op, inputs, moved)
        };
        outputs.floats.insert("o".into(), o);
        outputs.floats.insert("o_core".into(), core);
    }
    outputs
}

impl Reference for Attention {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        if let Some((floats, ready)) = storage::dequantised(self, inputs) {
            return floats.eval(&ready);
        }
        if !self.is_core() {
            return dressed_output(self, inputs);
        }
        let scores = Scores::new(self, inputs);
        let width = self.dims.val_dim;
        let rows: usize = self.row_dims().iter().product();
        let mut o = vec![R::from_f64(0.0); rows * width];
        let unseen = if self.weight == Weight::Softmax { f64::NEG_INFINITY } else { 0.0 };
        let mut saved = vec![R::from_f64(unseen); rows];
        let mut measures = [vec![R::from_f64(0.0); rows], vec![R::from_f64(0.0); rows]];
        let (mut v_mean, mut rk_mean) = (o.clone(), measures[0].clone());
        let mut seen = Vec::new();
        for s in sequences(self, inputs) {
            for (h, i) in (0..self.dims.q_heads).flat_map(|h| (0..s.len_q).map(move |i| (h, i))) {
                scores.row(&s, h, i, &mut seen);
                let (at, stat) = (s.query_row(self, h, i), s.stat(self, h, i));
                let sink = sink::score(&scores, inputs, &s, [h, i]);
                let broken = sink.iter().chain(seen.iter().map(|(_, z)| z)).any(|z| z.is_nan(self));
                let row = match self.weight {
                    _ if scores.query_is_nan(at) || broken => Row::nan(self, seen.len()),
                    Weight::Softmax => softmax_output(&scores, &s, [h, i], &seen, sink::logit(sink)),
                    _ => {
                        let log_norm = inputs.float("log_norm").get(stat).copied();
                        function_output(&scores, &s, [h, i], &seen, log_norm)
                    }
                };
                o[at * width..(at + 1) * width].copy_from_slice(&row.o);
                saved[stat] = row.saved;
                measures.iter_mut().zip(row.measures).for_each(|(all, x)| all[stat] = x);
                if self.local_linear {
                    v_mean[at * width..(at + 1) * width].copy_from_slice(&row.moments.v_mean);
                    rk_mean[stat] = row.moments.rk_mean;
                }
            }
        }
        frobenius::divide(self, inputs, &saved, &mut o);
        let mut outputs = Values { floats: [("o".to_string(), o)].into(), ints: [].into(), ..Values::default() };
        let returned = |name: &&str| self.operands().iter().any(|o| o.name == *name);
        outputs.floats.extend(self.saved().filter(returned).map(|name| (name.to_string(), saved)));
        let measures = self.measures().iter().filter(|name| returned(name)).zip(measures);
        outputs.floats.extend(measures.map(|(name, all)| (name.to_string(), all)));
        let moments = self.moments().iter().filter(|name| returned(name)).zip([v_mean, rk_mean]);
        outputs.floats.extend(moments.map(|(name, all)| (name.to_string(), all)));
        outputs
    }

    fn case(seed: u64) -> Case<Self> {
        cases::forward(seed)
    }

    const PLANNED: u64 = cases::PLANNED;

    fn check_reference(&self) -> Result<(), SpecError> {
        custom::check_rust(self)
    }
}
