//! Numbers for the gate's cases. Where computed numbers decide who is chosen, rows are drawn again until no two candidates are closer than their
//! bounds: then indices are exact.

use gatefold_core::routing::{GateActivation, LOGIT_LIMIT, NanLogits, Score};
use gatefold_core::{Dtype, Op, Role, Tensor, Tensors, TopKGate, TopKGateBackward};
use half::f16;

use super::top_k_gate::{Token, by_rank, choose, group_scores};
use crate::data::{Family, Rng};
use crate::{Err, Real, Values};

/// How the logits look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Normal.
    Plain,
    /// Normal, and so wide that most probabilities are 0.
    Wide,
    /// Few different numbers: ties everywhere.
    Ties,
    /// −∞, NaN where it may be, infinities, zeros of both signs, the largest numbers.
    Special,
}

/// Tries before a row is taken as it is.
const TRIES: usize = 200;

/// The bits that a rank is computed from: equal ones give equal ranks, whatever the arithmetic.
type Source = [u32; 3];

/// A token's numbers as a draw has them.
struct Draft<'a> {
    op: &'a TopKGate,
    biases: [Vec<f32>; 2],
    temperature: f32,
}

/// A sum that is an f32 itself, so that every rounding keeps it.
#[allow(clippy::cast_possible_truncation, reason = "whether a number is an f32 is asked")]
fn exact_sum(a: f32, b: f32) -> Option<f32> {
    let (x, y) = (f64::from(a), f64::from(b));
    let sum = x + y;
    // neither lost anything, and f32 holds the sum
    (sum - x == y && sum - y == x && f64::from(sum as f32) == sum).then_some(sum as f32)
}

/// Whether two ranks are in the same order for every kernel: of the same source, or far enough apart.
fn apart(a: Err, b: Err, same: bool) -> bool {
    same || (a.e == 0.0 && b.e == 0.0) || (a.v - b.v).abs() > 2.0 * (a.e + b.e)
}

impl Draft<'_> {
    fn values(&self, row: &[f32]) -> Values<Err> {
        let mut all = Values::default();
        let mut put = |name: &str, x: &[f32]| {
            all.floats.insert(name.into(), x.iter().map(|&x| Err::from_f64(f64::from(x))).collect());
        };
        put("logits", row);
        put("logit_bias", &self.biases[0]);
        put("selection_bias", &self.biases[1]);
        if self.op.temperature {
            put("temperature", &[self.temperature]);
        }
        all
    }

    fn source(&self, row: &[f32], e: usize) -> Source {
        let bits = |x: f32| (x + 0.0).to_bits();
        let selection = self.biases[1].get(e).copied().map_or(0, bits);
        match self.exact_entry(row, e) {
            Some(x) => [bits(x), 0, selection],
            None => [bits(row[e]), bits(self.bias(0, e)), selection],
        }
    }

    fn bias(&self, which: usize, e: usize) -> f32 {
        self.biases[which].get(e).copied().unwrap_or(0.0)
    }

    /// What an expert's logit and bias come to, if every kernel forms it alike.
    fn exact_entry(&self, row: &[f32], e: usize) -> Option<f32> {
        let logit = row[e].clamp(-LOGIT_LIMIT, LOGIT_LIMIT);
        exact_sum(logit, self.bias(0, e)).filter(|_| self.op.activation == GateActivation::None)
    }

    /// The rank of an expert without an error where it is a sum that every kernel forms alike.
    fn known(&self, row: &[f32], e: usize, rank: Err) -> Err {
        let op = self.op;
        let exact = match self.exact_entry(row, e) {
            entry if !op.ranks_by_score() => entry,
            Some(x) if op.score == Score::Identity && !op.temperature => exact_sum(x, self.bias(1, e)),
            _ => None,
        };
        if exact.is_some() { Err { e: 0.0, ..rank } } else { rank }
    }

    /// Whether a kernel can only choose as the reference does.
    fn is_decided(&self, row: &[f32]) -> bool {
        let op = &TopKGate { tokens: 1, ..self.op.clone() };
        let inputs = self.values(row);
        let token = Token::new(op, &inputs, 0);
        let ranks = token.ranks(&inputs);
        let chosen = choose(op, &ranks);
        let raw = token.raw_weights(&chosen);
        let fills = |w: &Err| op.threshold.is_none_or(|t| w.e == 0.0 || (w.v - f64::from(t)).abs() > 2.0 * w.e);
        raw.iter().all(fills) && self.groups_are_decided(row, &ranks) && self.experts_are_decided(row, &ranks)
    }

    fn experts_are_decided(&self, row: &[f32], ranks: &[Option<Err>]) -> bool {
        let order: Vec<_> = by_rank(ranks).into_iter().filter_map(|e| Some((e, ranks[e]?))).collect();
        let pair = |a: usize, b: usize| {
            let ((e, x), (f, y)) = (order[a], order[b]);
            apart(self.known(row, e, x), self.known(row, f, y), self.source(row, e) == self.source(row, f))
        };
        // with groups any of them may be the last chosen
        let last = if self.op.groups.is_some() { order.len() } else { self.op.top_k.min(order.len()) };
        (1..last).all(|n| pair(n - 1, n)) && (last..order.len()).all(|n| pair(last - 1, n))
    }

    fn groups_are_decided(&self, row: &[f32], ranks: &[Option<Err>]) -> bool {
        let Some(g) = self.op.groups else { return true };
        let size = self.op.experts / g.groups;
        let scores = group_scores(g.score, size, ranks);
        let sources = |group: usize| -> Vec<Source> {
            let best = by_rank(&ranks[group * size..(group + 1) * size]);
            best.into_iter().take(g.score.terms()).map(|m| self.source(row, group * size + m)).collect()
        };
        let order = by_rank(&scores);
        let pair = |&a: &usize, &b: &usize| match (scores[a], scores[b]) {
            (Some(x), Some(y)) => apart(x, y, sources(a) == sources(b)),
            _ => true,
        };
        let (kept, left) = order.split_at(g.keep);
        kept.iter().all(|a| left.iter().all(|b| pair(a, b)))
    }

    fn row(&self, rng: &mut Rng, style: Style, allows_nan: bool) -> Vec<f32> {
        let mut row = Vec::new();
        for _ in 0..TRIES {
            row = draw(rng, style, self.op.experts, allows_nan);
            if self.op.dtype == Dtype::F16 {
                row.iter_mut().for_each(|x| *x = f16::from_f32(*x).to_f32());
            }
            if self.is_decided(&row) {
                break;
            }
        }
        row
    }
}

/// A row of logits.
fn draw(rng: &mut Rng, style: Style, experts: usize, allows_nan: bool) -> Vec<f32> {
    const SPECIALS: [f32; 7] = [f32::NEG_INFINITY, f32::INFINITY, -0.0, 0.0, 1e30, -1e30, -3.3e38];
    match style {
        Style::Plain => Family::Normal(1.5).fill(rng, 1, experts),
        Style::Wide => Family::Normal(40.0).fill(rng, 1, experts),
        // zeros of both signs
        Style::Ties => (0..experts).map(|_| rng.pick(&[-1.5, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 1.5])).collect(),
        Style::Special => {
            let masked = rng.pick(&[10, 50, 90, 100]);
            let special = rng.pick(&[0, 0, 20]);
            let one = |rng: &mut Rng| match () {
                () if rng.chance(masked) => {
                    if allows_nan && rng.chance(50) {
                        f32::NAN
                    } else {
                        f32::NEG_INFINITY
                    }
                }
                () if rng.chance(special) => rng.pick(&SPECIALS),
                () => 1.5 * rng.normal(),
            };
            (0..experts).map(|_| one(rng)).collect()
        }
    }
}

/// Logits, biases, temperature and mask.
pub(super) fn forward(rng: &mut Rng, op: &TopKGate, style: Style) -> Tensors {
    let grid = style == Style::Ties;
    let bias = |rng: &mut Rng, asked: bool, mean: f32, spread: f32| -> Vec<f32> {
        let one = |rng: &mut Rng| if grid { rng.pick(&[0.0, 0.25, -0.5]) } else { spread * rng.normal() };
        let mut all: Vec<f32> = (0..if asked { op.experts } else { 0 }).map(|_| mean + one(rng)).collect();
        if style == Style::Special && rng.chance(50) {
            all.iter_mut().for_each(|x| *x = if rng.chance(15) { f32::NEG_INFINITY } else { *x });
        }
        all
    };
    // scores below 0: an excluded group is below them still
    let mean = rng.pick(&[0.0, 0.0, -1.25]);
    let biases = [bias(rng, op.logit_bias, 0.0, 0.5), bias(rng, op.selection_bias, mean, 0.3)];
    let temperature = rng.pick(&[1.0, 0.5, 2.0, 0.125, 0.37]);
    let mask: Vec<u32> = (0..op.tokens).map(|_| rng.pick(&[0, 1, 1, 1, 7])).collect();
    let draft = Draft { op, biases, temperature };
    let mut logits = Vec::with_capacity(op.tokens * op.experts);
    for &word in &mask {
        let padding = op.token_mask && word == 0;
        logits.extend(draft.row(rng, style, padding || op.nan == NanLogits::Lowest));
    }
    let [logit_bias, selection_bias] = draft.biases;
    let mut all = Tensors::new();
    for o in op.operands().into_iter().filter(|o| o.role == Role::Input) {
        let tensor = match o.name {
            "logits" => Tensor::float(o.dtype, o.dims, std::mem::take(&mut logits)),
            "logit_bias" => Tensor::f32(o.dims, logit_bias.clone()),
            "selection_bias" => Tensor::f32(o.dims, selection_bias.clone()),
            "temperature" => Tensor::f32(o.dims, vec![temperature]),
            _ => Tensor::u32(o.dims, mask.clone()),
        };
        all.insert(o.name, tensor.expect("as many numbers as the shape says"));
    }
    all
}

/// The gradient's inputs but `indices`, which follow from the others. `broken`: some upstream gradients are not finite.
pub(super) fn backward(rng: &mut Rng, op: &TopKGateBackward, style: Style, broken: bool) -> Tensors {
    let mut all = forward(rng, &op.forward, style);
    for o in op.operands().into_iter().filter(|o| o.role == Role::Input && o.name.starts_with("d_")) {
        let mut numbers = Family::Normal(1.0).fill(rng, o.len(), 1);
        if broken {
            numbers.iter_mut().for_each(|x| *x = if rng.chance(1) { rng.pick(&[f32::NAN, f32::INFINITY]) } else { *x });
        }
        all.insert(o.name, Tensor::float(o.dtype, o.dims, numbers).expect("as many numbers as the shape says"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reference;

    /// Without it a kernel might be blamed for a rounding.
    #[test]
    fn every_choice_is_decided() {
        for seed in 0..TopKGate::PLANNED + 600 {
            let case = TopKGate::case(seed);
            let numbers = |name: &str| case.inputs.get(name).map(Tensor::to_f32).unwrap_or_default();
            let biases = [numbers("logit_bias"), numbers("selection_bias")];
            let temperature = numbers("temperature").first().copied().unwrap_or(1.0);
            let draft = Draft { op: &case.op, biases, temperature };
            for (t, row) in numbers("logits").chunks(case.op.experts).enumerate() {
                assert!(draft.is_decided(row), "seed {seed} token {t} {} {}", case.note, case.op.label());
            }
        }
    }
}
