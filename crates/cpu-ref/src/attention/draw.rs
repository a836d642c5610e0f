//! Random specs and inputs of attention.

use gatefold_core::attention::{
    Activation, Bias, Causal, Dims, Epilogue, Gate, NanPolicy, Normalizer, Prologue, QueryScale, RowNorm, ScoreBias,
    Sequences, Weight, Window,
};
use gatefold_core::{Attention, Dtype, Op, Operand, Role, Tensor, Tensors};

use super::style::{Style, draw_dims};
use super::{mask_cases, pairs, storage};
use crate::case::near;
use crate::data::{Family, Rng};

/// A spec and how its inputs are to be drawn.
#[derive(Debug, Clone)]
pub(crate) struct Draw {
    pub(crate) op: Attention,
    /// Numbers of `q`, of `k`, and of `v` and gradients.
    pub(crate) families: [Family; 3],
    /// Share of `−∞` in `key_bias` and `score_bias`, in percent.
    pub(crate) masked: usize,
    /// What else is planted in `q k v`.
    pub(crate) plant: Option<Plant>,
    pub(crate) note: String,
}

/// Numbers that are not finite, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    /// A NaN in one row of `q`.
    NanQuery,
    /// NaNs in rows of `k`.
    NanKey,
    /// NaNs in rows of `v`.
    NanValue,
    /// An infinity in a row of `v`.
    InfiniteValue,
    /// An infinity in a row of `k`: scores of ±∞.
    InfiniteKey,
    /// The same, below 0.
    InfiniteKeyBelow,
    /// NaNs in all rows that the lengths exclude.
    Padding,
    /// An infinity in a row of `r`.
    InfiniteSlope,
}

impl Draw {
    /// Inputs of ordinary size.
    pub(crate) fn ordinary(op: Attention, note: impl Into<String>) -> Self {
        Self { op, families: [Family::Normal(1.0); 3], masked: 0, plant: None, note: note.into() }
    }
}

/// The same with other lengths and batch, unless its lengths are what it is about.
pub(crate) fn resized(rng: &mut Rng, draw: &Draw) -> Draw {
    let Draw { mut op, .. } = draw.clone();
    let d = &mut op.dims;
    let square = d.seq_q == d.seq_kv;
    (d.batch, d.seq_q, d.seq_kv) = (near(rng, d.batch), near(rng, d.seq_q), near(rng, d.seq_kv));
    if square {
        d.seq_kv = d.seq_q;
    }
    let free = matches!(op.sequences, Sequences::Dense | Sequences::Padded { .. });
    let meant = draw.note.contains("degenerate");
    if free && !meant && op.validate().is_ok() { Draw { op, ..draw.clone() } } else { draw.clone() }
}

/// A random spec. `divisor`: how much dearer its op is than the forward pass.
pub(crate) fn spec(rng: &mut Rng, divisor: usize) -> Draw {
    let drawn = Style::draw(rng);
    let dims = draw_dims(rng, &drawn, divisor);
    let (mut style, function) = (drawn.rng.clone(), drawn.function);
    let either = style.pick(&[Weight::Softmax, Weight::Sigmoid]);
    let (weight, normalizer) = match function {
        None => (either, Normalizer::None),
        Some(pair) => pair,
    };
    let softmax = weight == Weight::Softmax;
    let reach = dims.seq_q.max(dims.seq_kv) + 2;
    #[allow(clippy::cast_possible_truncation, reason = "a length of at most 1,025")]
    let side = |rng: &mut Rng| rng.chance(60).then(|| rng.below(reach) as u32);
    let window = if rng.chance(25) { Window { left: side(rng), right: side(rng) } } else { Window::default() };
    let constant = Bias::Const(rng.pick(&[0.0, 0.0, 0.5, -2.0, -10.0]));
    let bias = match rng.below(10) {
        0..5 if softmax => Bias::Const(0.0),
        0..=5 => Bias::NegLogKeys,
        6 | 7 => Bias::NegLogLen,
        _ => constant,
    };
    let op = Attention {
        dims,
        weight,
        normalizer,
        reweight: None,
        scale: rng.chance(30).then(|| rng.pick(&[1.0, 0.125, 0.3, -0.2, 0.0])),
        softcap: style.chance(25).then(|| rng.pick(&[0.5, 1.0, 10.0, 50.0])),
        bias,
        head_bias: style.chance(20),
        key_bias: style.chance(25),
        score_bias: style.chance(25).then(|| ScoreBias { per_batch: rng.chance(50), per_head: rng.chance(50) }),
        alibi: style.chance(20),
        sink: softmax && rng.chance(25),
        causal: rng.pick(&[Causal::None, Causal::None, Causal::TopLeft, Causal::BottomRight]),
        window,
        sequences: draw_sequences(rng, &dims),
        lse: style.chance(60) && softmax,
        nan_policy: if style.chance(75) { NanPolicy::Exact } else { NanPolicy::Trust },
        dtype: if style.chance(30) { Dtype::F16 } else { Dtype::F32 },
        ..Attention::softmax(dims)
    };
    let op = with_rows(&mut rng.clone(), &mut style, finished(rng, op, &drawn));
    let op = if drawn.listed { mask_cases::with_masks(&mut rng.clone(), op) } else { op };
    let masked = if rng.chance(50) { 0 } else { 20 };
    let families = draw_families(rng, &op);
    let plant = if op.nan_policy == NanPolicy::Exact { draw_plant(rng, &op, masked) } else { None };
    let note = note(&op, families, masked, plant);
    Draw { op, families, masked, plant, note }
}

/// The spec with what its whole style has: chunks or a prefix, pages, the kernels of weight functions.
fn finished(rng: &mut Rng, mut op: Attention, style: &Style) -> Attention {
    if style.chunked {
        let causal = op.causal != Causal::None;
        op.prefix = (causal && rng.chance(70)).then(|| rng.pick(&[0, 1, 5, 17, 40, 300]));
        op.chunk = (op.prefix.is_none() || rng.chance(50)).then(|| rng.pick(&[1, 3, 8, 16, 33, 64, 100]));
    }
    if style.paged {
        op.sequences = draw_paged(rng, &op.dims);
    }
    if style.function.is_none() {
        return op;
    }
    let other = rng.chance(25);
    let (softcap, score_bias) = (Some(rng.pick(&[0.5, 1.0, 10.0])), Some(ScoreBias::default()));
    pairs::of_kind(Attention { softcap, score_bias, ..op }, other).saving(!other)
}

/// A third of the specs with the prologue and epilogue of their style: kernels of their own, so few of them.
fn with_rows(rng: &mut Rng, style: &mut Rng, op: Attention) -> Attention {
    let norms = [None, Some(RowNorm::L2), Some(RowNorm::RMS), Some(RowNorm::LAYER)];
    let factors = [None, Some(Activation::Identity), Some(Activation::Sigmoid)];
    let gates = [None, Some(Gate::ELEMENT), Some(Gate { activation: Activation::Tanh, per_head: true })];
    let drawn = Prologue {
        query_norm: style.pick(&norms),
        key_norm: style.pick(&norms),
        gain: style.chance(50),
        query_scale: style.pick(&[None, Some(QueryScale::Given), Some(QueryScale::LogKeys)]),
        value_scale: style.pick(&factors),
        key_penalty: None,
        query_penalty: None,
        feature_map: None,
    };
    let (gate, norm, gain) = (style.pick(&gates), style.pick(&norms), style.chance(50));
    let penalty = style.chance(40).then(|| rng.pick(&[1.0, 0.5, -0.25]));
    let (do_first, do_last) = (rng.chance(30), rng.chance(30));
    let cached = matches!(op.sequences, Sequences::Paged { .. });
    let counts = !op.key_bias && op.score_bias.is_none();
    // a key bias of a head makes other kernels: where there are few
    let key_penalty = penalty.filter(|_| op.weight == Weight::Softmax && op.softcap.is_none());
    let mut prologue = if do_first { Prologue { key_penalty, ..drawn } } else { Prologue::default() };
    if cached {
        (prologue.key_norm, prologue.value_scale, prologue.key_penalty) = (None, None, None);
    }
    if prologue.query_scale == Some(QueryScale::LogKeys) && !counts {
        prologue.query_scale = None;
    }
    prologue.gain &= prologue.query_norm.is_some() || prologue.key_norm.is_some();
    let affine = style.chance(40) && counts && op.custom.mask_mod.is_none() && !cached;
    let epilogue = Epilogue { affine, gate, norm, gain: gain && norm.is_some(), ..Epilogue::default() };
    let epilogue = if do_last { epilogue } else { Epilogue::default() };
    let o_core = !epilogue.is_none() && rng.chance(30);
    Attention { prologue, epilogue, o_core, ..op }
}

/// What is special about a draw.
fn note(op: &Attention, families: [Family; 3], masked: usize, plant: Option<Plant>) -> String {
    let d = &op.dims;
    let hides = op.sequences != Sequences::Dense
        || op.chunk.is_some()
        || op.hides_inside()
        || op.window != Window::default()
        || (op.causal == Causal::BottomRight && d.seq_q > d.seq_kv)
        || d.batch * d.seq_q * d.seq_kv == 0
        || (d.seq_kv < 8 && masked > 0 && (op.key_bias || op.score_bias.is_some()));
    let wide = |f: &Family| matches!(f, Family::Normal(x) if *x > 4.0);
    let tiny = families.iter().any(|f| f.is_degenerate() || wide(f)) || op.scale == Some(0.0);
    let mut words: Vec<String> = Vec::new();
    words.extend(
        (families != [Family::Normal(1.0); 3])
            .then(|| format!("q {:?}, k {:?}, v {:?}", families[0], families[1], families[2])),
    );
    words.extend(plant.map(|p| format!("{p:?}")));
    words.extend((masked > 0 && (op.key_bias || op.score_bias.is_some())).then(|| "masked by -inf".into()));
    words.extend((hides || tiny || plant.is_some()).then(|| "may be degenerate".into()));
    words.join("; ")
}

fn draw_sequences(rng: &mut Rng, dims: &Dims) -> Sequences {
    match rng.below(20) {
        0..11 => Sequences::Dense,
        11..16 => rng.pick(&[(true, true), (true, true), (true, false), (false, true)]).into_padded(),
        // totals are set when the lengths are drawn; one sequence of each kind is as long as `seq_q` and `seq_kv` say
        _ if dims.batch > 0 => Sequences::Packed {
            total_q: dims.seq_q + rng.below((dims.batch - 1) * dims.seq_q + 1),
            total_kv: dims.seq_kv + rng.below((dims.batch - 1) * dims.seq_kv + 1),
        },
        _ => Sequences::Dense,
    }
}

fn draw_paged(rng: &mut Rng, dims: &Dims) -> Sequences {
    let page = rng.pick(&[1, 2, 3, 5, 8, 16, 32, 64]);
    let needed = dims.batch * dims.seq_kv.div_ceil(page);
    Sequences::Paged { page, pages: (needed + rng.below(3)).max(1) }
}

trait IntoPadded {
    fn into_padded(self) -> Sequences;
}

impl IntoPadded for (bool, bool) {
    fn into_padded(self) -> Sequences {
        Sequences::Padded { q: self.0, kv: self.1 }
    }
}

fn draw_families(rng: &mut Rng, op: &Attention) -> [Family; 3] {
    let ordinary = Family::Normal(1.0);
    let value = match rng.below(20) {
        0 => Family::Normal(100.0),
        1 => Family::Zero,
        2 => Family::OneHot,
        3 => Family::Equal,
        4 => Family::Cancelling,
        5 => Family::Denormal,
        6..9 => Family::Uniform,
        _ => ordinary,
    };
    let scale = op.scale_value().abs().max(0.01);
    let [query, key] = match rng.below(40) {
        0..3 => [Family::Normal(0.1), ordinary],
        3..8 => [Family::Normal(4.0), ordinary],
        8 => [Family::Normal(100.0), ordinary],
        9 | 10 => [Family::Uniform; 2],
        11 => [Family::Equal; 2],
        12 => [Family::Zero, ordinary],
        13 => [Family::OneHot, ordinary],
        14 => [Family::Alternating; 2],
        15 => [Family::Cancelling, Family::Alternating],
        16 => [Family::Denormal, ordinary],
        17 => [Family::Integers; 2],
        18 | 19 => [Family::Spike(88.0 / scale), Family::Spike(1.0)],
        20 => [Family::Spike(1e4 / scale), Family::Spike(1.0)],
        21 if op.dtype == Dtype::F32 => [Family::Spike(3.0e38), Family::Spike(2.0)],
        _ => [ordinary; 2],
    };
    [query, key, value]
}

fn draw_plant(rng: &mut Rng, op: &Attention, masked: usize) -> Option<Plant> {
    if matches!(op.sequences, Sequences::Padded { .. }) && rng.chance(30) {
        return Some(Plant::Padding);
    }
    if !rng.chance(5) {
        return None;
    }
    let sees_a_key = op.sequences == Sequences::Dense
        && op.window == Window::default()
        && op.chunk.is_none()
        && !op.hides_inside()
        && op.causal != Causal::BottomRight
        && (masked == 0 || !(op.key_bias || op.score_bias.is_some()));
    match rng.below(5) {
        0 if sees_a_key => Some(Plant::NanQuery),
        1 if op.softcap.is_none() && op.scale.is_none() => Some(Plant::InfiniteKey),
        2 => Some(Plant::NanKey),
        3 => Some(Plant::InfiniteValue),
        _ => Some(Plant::NanValue),
    }
}

/// The inputs of the forward op, and of its gradient if `more` names `d_o` or `d_lse`.
pub(crate) fn inputs(rng: &mut Rng, draw: &Draw, operands: &[Operand]) -> Tensors {
    let mut all = Tensors::new();
    let made = ["o", "o_core", "lse", "row_sum", "row_mean", "row_max", "v_mean", "rk_mean"];
    for o in operands.iter().filter(|o| o.role == Role::Input && !made.contains(&o.name)) {
        all.insert(o.name, operand(rng, draw, o));
    }
    if let Some(plant) = draw.plant {
        super::plant::plant(rng, &draw.op, plant, &mut all);
    }
    debug_assert!(draw.op.validate().is_ok(), "drawn specs are legal: {:?}", draw.op.validate());
    all
}

fn operand(rng: &mut Rng, draw: &Draw, o: &Operand) -> Tensor {
    let (d, width) = (&draw.op.dims, o.dims.last().copied().unwrap_or(1).max(1));
    let rows = o.len() / width;
    #[allow(clippy::cast_possible_truncation, reason = "lengths are small")]
    let ints: Option<Vec<u32>> = match (o.name, draw.op.sequences) {
        ("lens_q", _) => Some((0..d.batch).map(|_| length(rng, d.seq_q) as u32).collect()),
        ("lens_kv", _) => Some((0..d.batch).map(|_| length(rng, d.seq_kv) as u32).collect()),
        ("cu_seqlens_q", Sequences::Packed { total_q, .. }) => Some(running(rng, d.batch, d.seq_q, total_q)),
        ("cu_seqlens_kv", Sequences::Packed { total_kv, .. }) => Some(running(rng, d.batch, d.seq_kv, total_kv)),
        ("dropout_seed", _) => Some((0..2).map(|_| (rng.below(1 << 20) as u32).wrapping_mul(0x1_0003)).collect()),
        ("block_table", Sequences::Paged { pages, .. }) => Some(shuffled(rng, o.len(), pages)),
        _ => mask_cases::ints(rng, o).or_else(|| storage::ints(rng, o)),
    };
    if let Some(ints) = ints {
        return Tensor::u32(o.dims.clone(), ints).expect("as many lengths as batch entries");
    }
    let mut numbers = match o.name {
        "q" => draw.families[0].fill(rng, rows, width),
        "k" => draw.families[1].fill(rng, rows, width),
        "v" => draw.families[2].fill(rng, rows, width),
        "k_scale" | "v_scale" => storage::factors(rng, o.len()),
        "alibi_slopes" => Family::Uniform.fill(rng, rows, width).iter().map(|x| x.abs() * 0.5).collect(),
        _ => Family::Normal(1.0).fill(rng, rows, width),
    };
    if matches!(o.name, "key_bias" | "score_bias") {
        numbers.iter_mut().for_each(|x| *x = if rng.chance(draw.masked) { f32::NEG_INFINITY } else { *x });
    }
    if o.dtype == Dtype::F16 {
        numbers.iter_mut().for_each(|x| *x = x.clamp(-6e4, 6e4));
    }
    Tensor::float(o.dtype, o.dims.clone(), numbers).expect("as many numbers as the shape says")
}

/// Pages in no order, no page twice if there are enough.
fn shuffled(rng: &mut Rng, count: usize, pages: usize) -> Vec<u32> {
    #[allow(clippy::cast_possible_truncation, reason = "pages are few")]
    let mut all: Vec<u32> = (0..count.max(pages)).map(|n| (n % pages) as u32).collect();
    for n in (1..all.len()).rev() {
        all.swap(n, rng.below(n + 1));
    }
    all.truncate(count);
    all
}

/// A length up to `most`, often none or all of it.
fn length(rng: &mut Rng, most: usize) -> usize {
    match rng.below(6) {
        0 => 0,
        1 => most,
        _ => rng.below(most + 1),
    }
}

/// Running totals of `batch` lengths of at most `longest` that add up to `total`.
fn running(rng: &mut Rng, batch: usize, longest: usize, total: usize) -> Vec<u32> {
    let mut at = 0;
    let mut all = vec![0];
    for left in (0..batch).rev() {
        let rest = total - at;
        let least = rest.saturating_sub(left * longest);
        at += least + length(rng, rest.min(longest) - least);
        all.push(u32::try_from(at).expect("totals are small"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every option is drawn, and left out, in at least one case of thirty.
    #[test]
    fn styles_cover_every_option() {
        let drawn: Vec<_> = (0..600).map(|seed| spec(&mut Rng::new(seed, 1), 1).op).collect();
        type Has = fn(&Attention) -> bool;
        let options: [(&str, Has); 21] = [
            ("chunk", |a| a.chunk.is_some()),
            ("prefix", |a| a.prefix.is_some()),
            ("sink_tokens", |a| a.sink_tokens.is_some()),
            ("documents", |a| a.documents),
            ("block_map", |a| a.block_map.is_some()),
            ("paged", |a| matches!(a.sequences, Sequences::Paged { .. })),
            ("softmax", |a| a.weight == Weight::Softmax),
            ("softplus", |a| a.weight == Weight::Softplus),
            ("row_sum", |a| a.row_sum),
            ("count", |a| a.normalizer == Normalizer::Count),
            ("softcap", |a| a.softcap.is_some()),
            ("head_bias", |a| a.head_bias),
            ("key_bias", |a| a.key_bias),
            ("score_bias", |a| a.score_bias.is_some()),
            ("key_bias alone", |a| a.key_bias && a.score_bias.is_none()),
            ("alibi", |a| a.alibi),
            ("lse", |a| a.lse),
            ("trust", |a| a.nan_policy == NanPolicy::Trust),
            ("f16", |a| a.dtype == Dtype::F16),
            ("sink", |a| a.sink),
            ("unaligned", |a| !a.dims.head_dim.is_multiple_of(4)),
        ];
        for (name, has) in options {
            let count = drawn.iter().filter(|a| has(a)).count();
            assert!((20..580).contains(&count), "{name}: {count} of 600");
        }
    }
}
