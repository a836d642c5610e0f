//! Statistics of attention's weights from their definition, and their cases.

use gatefold_core::attention::{
    Activation, Bias, Causal, Dims, Epilogue, Gate, Prologue, QueryScale, RowNorm, ScoreBias, Sequences, Weight, Window,
};
use gatefold_core::{Attention, AttentionStatistics, Dtype, Op, SpecError};

use super::custom::check_rust;
use super::draw::{Draw, Plant, inputs};
use super::geometry::{Sequence, sequences};
use super::rows;
use super::score::{Score, Scores};
use super::sink;
use super::weight::weight;
use crate::case::VARIED;
use crate::data::{Family, Rng};
use crate::real::{Accumulator, UNIT};
use crate::{Case, Real, Reference, Values};

const SALT: u64 = 0x57a7;

/// Masses below this add nothing that counts: `−x ln x < 10⁻²⁸`.
const NOTHING: f64 = 1e-30;

/// A row's weights, and what is said of them.
struct Row<R> {
    weights: Vec<R>,
    entropy: R,
    top_mass: R,
}

/// `−x ln x` of a number in `[0, 1]` that may be known badly.
fn surprise<R: Real>(x: R) -> R {
    let (value, unsure) = (x.value(), x.uncertainty());
    if value + unsure < NOTHING {
        return R::from_f64(0.0);
    }
    if unsure < 0.5 * value || unsure > 0.1 {
        return -(x * x.ln());
    }
    // the slope of −x ln x is not bounded near 0, but at `x ± e` it is off by no more than `−2e ln max(x, e)`
    let slope = R::from_f64(-value.max(if value == 0.0 { unsure } else { 0.0 }).ln());
    let term = x * slope;
    if value == 0.0 { term } else { term.charge(slope.value() * unsure / (value * slope.value() * UNIT)) }
}

/// A row by the masses of its keys, each 1 or less in what it is relative to, and by the entropy's terms `−m ln m`. `rest`: what the row's
/// sum holds beside them.
fn row<R: Real>(masses: &[R], surprises: &[R], rest: Option<R>) -> Row<R> {
    let keys = R::sum(masses.iter().copied());
    let whole = rest.map_or(keys, |rest| R::sum(masses.iter().copied().chain([rest])));
    if whole.value() == 0.0 {
        // 0, or nothing known where a kernel's sum may be anything
        let nothing = whole.share();
        return Row { weights: vec![nothing; masses.len()], entropy: nothing, top_mass: nothing };
    }
    // 2u more for a quotient: a kernel may multiply by the reciprocal
    let share = |m: R| (m / whole).charge(2.0);
    let entropy = share(keys * whole.ln() + R::sum(surprises.iter().copied()));
    let largest = masses.iter().copied().reduce(R::max).unwrap_or_else(|| R::from_f64(0.0));
    // another that is nearly as large may be a kernel's largest
    let reach = masses.iter().map(|m| m.value() + m.uncertainty()).fold(0.0, f64::max) - largest.value();
    let largest = if largest.value() > 0.0 { largest.charge(reach / (UNIT * largest.value())) } else { largest };
    Row { weights: masses.iter().map(|&m| share(m)).collect(), entropy, top_mass: share(largest) }
}

fn softmax_row<R: Real>(mut logits: Vec<R>, sink: Option<R>) -> Row<R> {
    let count = logits.len();
    logits.extend(sink);
    if logits.is_empty() {
        return row(&[], &[], None);
    }
    R::center(&mut logits);
    let masses: Vec<R> = logits.iter().map(|z| z.exp()).collect();
    let of_key = |(&m, &z): (&R, &R)| if m.value() < NOTHING { R::from_f64(0.0) } else { -(m * z) };
    let surprises: Vec<R> = masses.iter().zip(&logits).map(of_key).collect();
    row(&masses[..count], &surprises[..count], masses.get(count).copied())
}

fn function_row<R: Real>(op: &Attention, scores: &[R]) -> Row<R> {
    let magnitudes: Vec<R> = scores.iter().map(|&z| weight(op, z).abs()).collect();
    let largest = magnitudes.iter().map(|m| m.value()).fold(0.0, f64::max);
    if largest == 0.0 {
        return row(&magnitudes, &vec![R::from_f64(0.0); magnitudes.len()], None);
    }
    // what they are relative to cancels
    let masses: Vec<R> = magnitudes.iter().map(|&m| m / R::from_f64(largest)).collect();
    let surprises: Vec<R> = masses.iter().map(|&m| surprise(m)).collect();
    row(&masses, &surprises, None)
}

/// Where the importance of key `j` is.
fn key_stat(op: &AttentionStatistics, s: &Sequence, h: usize, j: usize) -> usize {
    match op.forward.sequences {
        Sequences::Packed { total_kv, .. } => h * total_kv + s.key(&op.forward, j),
        _ => (s.b * op.forward.dims.q_heads + h) * op.forward.dims.seq_kv + j,
    }
}

/// What a key has gathered.
#[derive(Clone, Default)]
struct Column<S> {
    sum: S,
    queries: usize,
    broken: bool,
}

impl Reference for AttentionStatistics {
    fn eval<R: Real>(&self, inputs: &Values<R>) -> Values<R> {
        if !self.forward.is_core() {
            return self.core().eval(&rows::prologue(&self.looked_at(), inputs));
        }
        let a = &self.forward;
        let zero = R::from_f64(0.0);
        // values make no difference
        let values = inputs.float("k").len() / a.dims.head_dim * a.dims.val_dim;
        let mut completed = inputs.clone();
        completed.floats.insert("v".into(), vec![zero; values]);
        let scores = Scores::new(a, &completed);
        let rows: usize = a.row_dims().iter().product();
        let (mut entropy, mut top_mass) = (vec![zero; rows], vec![zero; rows]);
        let mut columns = vec![Column::<R::Sum>::default(); self.key_dims().iter().product()];
        let mut seen = Vec::new();
        for s in sequences(a, inputs) {
            for (h, i) in (0..a.dims.q_heads).flat_map(|h| (0..s.len_q).map(move |i| (h, i))) {
                scores.row(&s, h, i, &mut seen);
                let finite = |&(_, score): &(usize, Score<R>)| match score {
                    Score::Finite { z, .. } => Some(z),
                    _ => None,
                };
                let logits: Option<Vec<R>> = seen.iter().map(finite).collect();
                let found = logits.map(|logits| match a.weight {
                    Weight::Softmax => softmax_row(logits, sink::logit(sink::score(&scores, inputs, &s, [h, i]))),
                    _ => function_row(a, &logits),
                });
                let stat = s.stat(a, h, i);
                entropy[stat] = found.as_ref().map_or(R::nan(), |row| row.entropy);
                top_mass[stat] = found.as_ref().map_or(R::nan(), |row| row.top_mass);
                for (at, &(j, _)) in seen.iter().enumerate() {
                    let column = &mut columns[key_stat(self, &s, h, j)];
                    column.queries += 1;
                    match &found {
                        Some(row) => column.sum.add(row.weights[at]),
                        None => column.broken = true,
                    }
                }
            }
        }
        let mean = |c: &Column<R::Sum>| match c {
            Column { broken: true, .. } => R::nan(),
            Column { queries: 0, .. } => zero,
            Column { sum, queries, .. } => sum.total() / R::from_f64(*queries as f64),
        };
        let importance = columns.iter().map(mean).collect();
        let named = [("importance", importance), ("entropy", entropy), ("top_mass", top_mass)];
        Values { floats: named.map(|(name, x)| (name.to_string(), x)).into(), ..Values::default() }
    }

    fn case(seed: u64) -> Case<Self> {
        let mut rng = Rng::new(seed, SALT);
        let mut draw = match usize::try_from(seed % VARIED).ok().and_then(|at| planned().into_iter().nth(at)) {
            Some(planned) => planned,
            None => random(&mut rng),
        };
        if says_little(&draw) {
            draw.note = format!("{}; may be degenerate", draw.note);
        }
        let op = Self::new(draw.op.clone());
        let inputs = inputs(&mut rng, &draw, &op.operands());
        Case { seed, op, inputs, note: draw.note }
    }

    const PLANNED: u64 = 2 * 15 + 6;

    fn check_reference(&self) -> Result<(), SpecError> {
        check_rust(&self.forward)
    }
}

/// Whether rows may see one key or none, keys no query, or weights be 0.
fn says_little(draw: &Draw) -> bool {
    let Draw { op, masked, plant, families, .. } = draw;
    let hides = op.causal != Causal::None || op.window != Window::default() || op.chunk.is_some();
    let spiky = matches!(families[0], Family::Spike(_));
    let few = op.dims.seq_kv < 3 || op.dims.seq_q == 0 || op.sequences != Sequences::Dense;
    hides || few || spiky || *masked > 0 || plant.is_some() || op.weight == Weight::Relu
}

fn plain(weight: Weight, dims: Dims) -> Attention {
    let bias = if weight == Weight::Softmax { Bias::Const(0.0) } else { Bias::NegLogKeys };
    Attention { weight, bias, ..Attention::softmax(dims) }
}

/// The cases of the first seeds.
fn planned() -> Vec<Draw> {
    let mut all = Vec::new();
    for weight in [Weight::Softmax, Weight::Sigmoid] {
        let d = Dims { q_heads: 4, kv_heads: 2, seq_q: 37, seq_kv: 70, ..Dims::new(2, 2, 1, 10) };
        let base = plain(weight, d);
        let mut push = |op: Attention, note: &str| all.push(Draw::ordinary(op, note));
        push(base.clone(), "grouped heads");
        push(plain(weight, Dims { seq_q: 1, seq_kv: 1, ..d }), "one pair");
        push(plain(weight, Dims { seq_q: 0, ..d }), "no queries");
        push(plain(weight, Dims { seq_kv: 0, ..d }), "no keys");
        push(plain(weight, Dims::new(1, 1, 300, 64)), "long");
        push(Attention { causal: Causal::TopLeft, ..base.clone() }, "causal, top left");
        push(Attention { causal: Causal::BottomRight, ..plain(weight, Dims { seq_q: 70, seq_kv: 37, ..d }) }, "causal");
        let window = Window { left: Some(5), right: Some(2) };
        push(Attention { window, ..base.clone() }, "window");
        let biased = Attention { score_bias: Some(ScoreBias::default()), softcap: Some(5.0), ..base.clone() };
        push(Attention { key_bias: true, head_bias: true, ..biased }, "biases");
        push(Attention { sink: weight == Weight::Softmax, ..base.clone() }, "sink");
        push(Attention { sequences: Sequences::Padded { q: true, kv: true }, ..base.clone() }, "padded");
        push(Attention { sequences: Sequences::Packed { total_q: 51, total_kv: 100 }, ..base.clone() }, "packed");
        let chunked = Attention { chunk: Some(16), alibi: true, dtype: Dtype::F16, ..base.clone() };
        push(Attention { sequences: Sequences::Paged { page: 16, pages: 11 }, ..chunked }, "paged, chunks");
        let prologue = Prologue {
            query_norm: Some(RowNorm::RMS),
            key_norm: Some(RowNorm::L2),
            query_scale: Some(QueryScale::Given),
            value_scale: Some(Activation::Sigmoid),
            ..Prologue::default()
        };
        let epilogue = Epilogue { gate: Some(Gate::HEAD), ..Epilogue::default() };
        all.push(Draw::ordinary(Attention { prologue, epilogue, ..base.clone() }, "prologue"));
        all.push(Draw { plant: Some(Plant::NanKey), ..Draw::ordinary(base, "NanKey") });
    }
    let dims = Dims::new(2, 2, 33, 8);
    let op = |weight| Attention { weight, ..Attention::softmax(dims) };
    all.push(Draw::ordinary(op(Weight::Identity), "weights of either sign"));
    all.push(Draw::ordinary(op(Weight::Relu), "weights of 0"));
    let causal = Attention { causal: Causal::BottomRight, ..op(Weight::Softmax) };
    all.push(Draw { plant: Some(Plant::NanQuery), ..Draw::ordinary(causal, "NanQuery") });
    let spike = [Family::Spike(264.0), Family::Spike(1.0), Family::Normal(1.0)];
    all.push(Draw { families: spike, ..Draw::ordinary(op(Weight::Softmax), "scores of 88") });
    let equal = [Family::Zero, Family::Normal(1.0), Family::Normal(1.0)];
    all.push(Draw { families: equal, ..Draw::ordinary(op(Weight::Softmax), "all weights equal") });
    let packed = Sequences::Packed { total_q: 51, total_kv: 60 };
    let sink_key = Attention { sink_key: true, softcap: Some(2.0), sequences: packed, ..op(Weight::Softmax) };
    all.push(Draw::ordinary(sink_key, "sink key"));
    all
}

/// Few variants, all sizes.
fn random(rng: &mut Rng) -> Draw {
    let kv_heads = rng.pick(&[1, 2, 3]);
    let dims = Dims {
        q_heads: kv_heads * rng.pick(&[1, 1, 2]),
        seq_q: rng.pick(&[1, 2, 7, 33, 64, 100]),
        seq_kv: rng.pick(&[1, 3, 16, 65, 128, 130]),
        ..Dims::new(rng.pick(&[1, 1, 2, 3]), kv_heads, 1, rng.pick(&[1, 4, 7, 16, 32, 64]))
    };
    let base = plain(rng.pick(&[Weight::Softmax, Weight::Sigmoid]), dims);
    let causal = rng.pick(&[Causal::None, Causal::TopLeft, Causal::BottomRight]);
    let key_bias = rng.chance(40);
    let sequences = rng.pick(&[Sequences::Dense, Sequences::Dense, Sequences::Padded { q: true, kv: true }]);
    let op = Attention { causal, key_bias, sequences, sink: base.weight == Weight::Softmax && rng.chance(20), ..base };
    let query = rng.pick(&[Family::Normal(1.0), Family::Normal(4.0), Family::Uniform, Family::Integers]);
    let families = [query, Family::Normal(1.0), Family::Normal(1.0)];
    let masked = if rng.chance(50) { 0 } else { 20 };
    let plant = rng.chance(10).then(|| rng.pick(&[Plant::NanKey, Plant::NanQuery, Plant::InfiniteKey]));
    let note = plant.map_or_else(String::new, |p| format!("{p:?}"));
    Draw { families, masked, plant, ..Draw::ordinary(op, note) }
}

#[cfg(test)]
mod tests {
    use gatefold_core::{Tensor, Tensors};

    use super::*;
    use crate::outputs;

    #[test]
    fn every_case_is_legal() {
        assert_eq!(planned().len() as u64, AttentionStatistics::PLANNED);
        for seed in 0..200 {
            let case = AttentionStatistics::case(seed);
            case.op.check_inputs(&case.inputs).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        }
    }

    /// Scores `ln 1` and `ln 3` of one query: weights ¼ and ¾.
    #[test]
    fn a_row_of_two() {
        for weight in [Weight::Softmax, Weight::Identity] {
            let dims = Dims { seq_q: 1, seq_kv: 2, ..Dims::new(1, 1, 1, 1) };
            let op = AttentionStatistics::new(Attention { weight, scale: Some(1.0), ..Attention::softmax(dims) });
            let [one, three] = if weight == Weight::Softmax { [0.0, 3f32.ln()] } else { [-1.0, 3.0] };
            let inputs = Tensors::new()
                .with("q", Tensor::f32([1, 1, 1, 1], vec![1.0]).unwrap())
                .with("k", Tensor::f32([1, 1, 2, 1], vec![one, three]).unwrap());
            let found = outputs(&op, &inputs);
            let close =
                |name: &str, want: &[f32]| found[name].to_f32().iter().zip(want).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(close("importance", &[0.25, 0.75]) && close("top_mass", &[0.75]));
            assert!(close("entropy", &[0.562_335_1]), "{:?}", found["entropy"]);
        }
    }
}
