//! The cases of attention and its gradient: planned edges first, then random draws.

use std::sync::OnceLock;

use gatefold_core::attention::{
    Bias, Causal, Dims, Epilogue, PRESETS, Preset, Prologue, RowNorm, ScoreBias, Sequences, Storage, Weight, Window,
};
use gatefold_core::{Attention, AttentionBackward, Dtype, Op};

use super::draw::{Draw, Plant, inputs, resized, spec};
use super::{
    affine_cases, custom_cases, distance_cases, dropout_cases, feature_map_cases, frobenius_cases, gate_cases,
    injection, local_linear_cases, mask_cases, pairs, rare_cases, relative_cases, reweight_cases, row_cases,
    sink_cases, storage,
};
use crate::case::{HALVES, VARIED};
use crate::data::{Family, Rng};
use crate::{Case, Reference};

/// How many cases are planned; as many as [`planned`] lists.
pub(crate) const PLANNED: u64 = (246
    + pairs::COUNT
    + custom_cases::COUNT
    + row_cases::COUNT
    + 5 * PRESETS.len()
    + affine_cases::COUNT
    + mask_cases::COUNT
    + injection::COUNT
    + dropout_cases::COUNT
    + storage::COUNT
    + reweight_cases::COUNT
    + frobenius_cases::COUNT
    + distance_cases::COUNT
    + gate_cases::COUNT
    + feature_map_cases::COUNT
    + dropout_cases::SEEDED
    + local_linear_cases::COUNT
    + sink_cases::COUNT
    + relative_cases::COUNT
    + rare_cases::COUNT) as u64;

const FORWARD: u64 = 0x0f0f;
const BACKWARD: u64 = 0xb0b0;

fn draw(rng: &mut Rng, seed: u64, divisor: usize) -> Draw {
    let planned = usize::try_from(seed % HALVES).ok().and_then(|at| planned().get(at));
    let varied = |planned: &Draw| if seed < VARIED { planned.clone() } else { resized(&mut rng.clone(), planned) };
    planned.map(varied).unwrap_or_else(|| spec(rng, divisor))
}

/// Case `seed` of the forward op. From [`HALVES`](crate::case::HALVES) on: the cases from 0 on in f16, with widths that are multiples of 16.
pub(crate) fn forward(seed: u64) -> Case<Attention> {
    let mut rng = Rng::new(seed, FORWARD);
    let mut draw = draw(&mut rng, seed, 1);
    if seed % VARIED >= HALVES {
        let d = &mut draw.op.dims;
        (d.head_dim, d.val_dim) = (d.head_dim.next_multiple_of(16), d.val_dim.next_multiple_of(16));
        draw.op.dtype = Dtype::F16;
    }
    let inputs = inputs(&mut rng, &draw, &draw.op.operands());
    Case { seed, op: draw.op, inputs, note: draw.note }
}

/// Case `seed` of the gradient. `o` and `lse` are what the definition gives, rounded to storage.
pub(crate) fn backward(seed: u64) -> Case<AttentionBackward> {
    let mut rng = Rng::new(seed, BACKWARD);
    let mut draw = draw(&mut rng, seed, 3);
    if matches!(draw.plant, Some(Plant::InfiniteKey | Plant::InfiniteKeyBelow)) {
        draw.plant = Some(Plant::NanKey);
    }
    // saturated scores are a matter of the forward pass: their gradients overflow on the way
    for family in &mut draw.families {
        if matches!(family, Family::Spike(height) if *height > 1e30) {
            *family = Family::Normal(1.0);
        }
    }
    // a key that no query sees has no gradient
    let few = draw.op.causal != Causal::None && draw.op.dims.seq_q < draw.op.dims.seq_kv;
    if (few || draw.op.dims.seq_kv < 3) && !draw.note.contains("degenerate") {
        draw.note.push_str("; may be degenerate");
    }
    // a cache has no gradient
    if matches!(draw.op.sequences, Sequences::Paged { .. }) {
        draw.op.sequences = Sequences::Padded { q: false, kv: true };
    }
    draw.op.storage = Storage::Float;
    if draw.op.local_linear {
        draw.op.score_bias = None;
    }
    let softmax = draw.op.weight == Weight::Softmax;
    let constant = matches!(draw.op.bias, Bias::Const(_));
    let forward = draw.op.clone().saving(false);
    let op = AttentionBackward { forward, d_lse: softmax && rng.chance(30), d_bias: constant && rng.chance(40) };
    let inputs = op.complete(inputs(&mut rng, &draw, &op.operands()));
    Case { seed, op, inputs, note: draw.note }
}

/// The planned cases, the same list for both ops.
fn planned() -> &'static [Draw] {
    static PLAN: OnceLock<Vec<Draw>> = OnceLock::new();
    PLAN.get_or_init(|| {
        let mut all = Vec::new();
        for weight in [Weight::Softmax, Weight::Sigmoid] {
            sizes(weight, &mut all);
            masks(weight, &mut all);
            biases(weight, &mut all);
            contents(weight, &mut all);
        }
        for weight in [Weight::Softmax, Weight::Sigmoid] {
            hidden_values(weight, &mut all);
        }
        all.extend(pairs::planned());
        small_weights(&mut all);
        all.extend(custom_cases::planned());
        all.extend(row_cases::planned());
        presets(&PRESETS[..FIRST_PRESETS], &mut all);
        key_biases(&mut all);
        all.extend(affine_cases::planned());
        all.extend(mask_cases::planned());
        // some tiles are wholly seen
        let capped = Attention { softcap: Some(1.5), ..plain(Weight::Softmax, Dims::new(1, 2, 70, 8)) };
        all.push(Draw::ordinary(capped, "softcap, tiles inside"));
        all.push(short_rows());
        all.push(no_keys_to_normalise());
        all.push(large_gradients());
        all.extend(injection::planned());
        all.extend(dropout_cases::planned());
        all.extend(storage::planned());
        presets(&PRESETS[FIRST_PRESETS..SECOND_PRESETS], &mut all);
        all.extend(reweight_cases::planned());
        all.extend(frobenius_cases::planned());
        all.extend(distance_cases::planned());
        all.extend(gate_cases::planned());
        presets(&PRESETS[SECOND_PRESETS..THIRD_PRESETS], &mut all);
        all.extend(feature_map_cases::planned());
        all.extend(dropout_cases::seeded());
        presets(&PRESETS[THIRD_PRESETS..FOURTH_PRESETS], &mut all);
        all.extend(local_linear_cases::planned());
        presets(&PRESETS[FOURTH_PRESETS..], &mut all);
        all.extend(sink_cases::planned());
        all.extend(relative_cases::planned());
        all.extend(rare_cases::planned());
        all
    })
}

/// The default spec of either kind, with its usual bias.
fn plain(weight: Weight, dims: Dims) -> Attention {
    if weight == Weight::Softmax { Attention::softmax(dims).saving(true) } else { Attention::sigmoid(dims) }
}

/// Every length and width where a tile may end, and nothing at all.
fn sizes(weight: Weight, all: &mut Vec<Draw>) {
    for seq in [1, 2, 3, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129] {
        all.push(Draw::ordinary(plain(weight, Dims::new(1, 2, seq, 16)), format!("length {seq}")));
    }
    for width in [1, 2, 3, 4, 5, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256] {
        let dims = Dims { head_dim: width, ..Dims::new(2, 1, 33, width) };
        all.push(Draw::ordinary(plain(weight, dims), format!("width {width}")));
    }
    for (head_dim, val_dim) in [(256, 1), (1, 256), (24, 40), (65, 64)] {
        let dims = Dims { head_dim, val_dim, seq_q: 19, ..Dims::new(1, 2, 35, 1) };
        all.push(Draw::ordinary(plain(weight, dims), format!("widths {head_dim} and {val_dim}")));
    }
    let d = Dims::new(2, 2, 9, 8);
    for (dims, what) in [
        (Dims { seq_q: 0, ..d }, "no queries"),
        (Dims { seq_kv: 0, ..d }, "no keys"),
        (Dims { batch: 0, ..d }, "no batch entries"),
        (Dims { seq_q: 1, seq_kv: 300, ..d }, "one query"),
        (Dims { seq_q: 130, seq_kv: 1, ..d }, "one key"),
    ] {
        all.push(Draw::ordinary(plain(weight, dims), format!("{what}; degenerate")));
    }
    for (q_heads, kv_heads) in [(6, 2), (8, 1), (3, 3)] {
        let dims = Dims { q_heads, kv_heads, ..Dims::new(2, 1, 37, 20) };
        all.push(Draw::ordinary(plain(weight, dims), format!("{q_heads} query heads on {kv_heads}")));
    }
}

fn masks(weight: Weight, all: &mut Vec<Draw>) {
    let mut push = |op: Attention, what: &str| all.push(Draw::ordinary(op, format!("{what}; may be degenerate")));
    for (seq_q, seq_kv) in [(65, 65), (40, 70), (70, 40)] {
        let spec = plain(weight, Dims { seq_q, seq_kv, ..Dims::new(1, 2, 1, 24) });
        push(Attention { causal: Causal::TopLeft, ..spec.clone() }, "causal, top left");
        push(Attention { causal: Causal::BottomRight, ..spec.clone() }, "causal, bottom right");
        push(Attention { window: Window { left: Some(7), right: Some(3) }, ..spec.clone() }, "window");
        push(Attention { window: Window { left: Some(0), right: None }, ..spec.clone() }, "window, left only");
        push(Attention { window: Window { left: None, right: Some(0) }, ..spec.clone() }, "window, right only");
        let chunks = Attention { chunk: Some(16), ..spec };
        push(chunks.clone(), "chunks");
        push(Attention { causal: Causal::BottomRight, prefix: Some(23), ..chunks.clone() }, "chunks and a prefix");
        push(Attention { causal: Causal::TopLeft, prefix: Some(9), chunk: None, ..chunks }, "prefix");
    }
    let spec = plain(weight, Dims { seq_q: 33, seq_kv: 50, ..Dims::new(5, 2, 1, 12) });
    for (q, kv) in [(true, true), (true, false), (false, true)] {
        push(Attention { sequences: Sequences::Padded { q, kv }, ..spec.clone() }, "padded");
    }
    let sequences = Sequences::Packed { total_q: 83, total_kv: 151 };
    push(Attention { sequences, ..spec.clone() }, "packed");
    push(Attention { sequences, causal: Causal::BottomRight, bias: Bias::NegLogLen, ..spec.clone() }, "packed, causal");
    for page in [1, 16, 64] {
        let sequences = Sequences::Paged { page, pages: 5 * 50_usize.div_ceil(page) + 1 };
        push(Attention { sequences, causal: Causal::BottomRight, ..spec.clone() }, "paged, causal");
    }
    let sequences = Sequences::Paged { page: 7, pages: 41 };
    let dims = Dims { q_heads: 8, kv_heads: 2, seq_q: 1, ..spec.dims };
    push(Attention { sequences, dims, ..spec }, "paged, one query");
}

fn biases(weight: Weight, all: &mut Vec<Draw>) {
    let spec = plain(weight, Dims { seq_q: 21, seq_kv: 43, ..Dims::new(2, 3, 1, 10) });
    let mut push = |op: Attention, what: &str| all.push(Draw::ordinary(op, what));
    push(Attention { scale: Some(0.7), ..spec.clone() }, "scale");
    push(Attention { softcap: Some(0.8), ..spec.clone() }, "softcap");
    push(Attention { bias: Bias::Const(-1.5), ..spec.clone() }, "constant bias");
    push(Attention { bias: Bias::NegLogKeys, ..spec.clone() }, "-ln seq_kv");
    let sequences = Sequences::Padded { q: false, kv: true };
    push(Attention { bias: Bias::NegLogLen, sequences, ..spec.clone() }, "-ln len_kv; may be degenerate");
    push(Attention { head_bias: true, ..spec.clone() }, "head_bias");
    push(Attention { key_bias: true, ..spec.clone() }, "key_bias");
    push(Attention { alibi: true, ..spec.clone() }, "alibi");
    for (per_batch, per_head) in [(false, false), (false, true), (true, false), (true, true)] {
        push(Attention { score_bias: Some(ScoreBias { per_batch, per_head }), ..spec.clone() }, "score_bias");
    }
    push(Attention { sink: weight == Weight::Softmax, alibi: true, ..spec.clone() }, "sink and alibi");
    push(Attention { dtype: Dtype::F16, ..spec.clone() }, "f16");
    push(Attention { lse: false, ..spec.clone() }, "no lse");
    let masked = Attention { key_bias: true, score_bias: Some(ScoreBias::default()), ..spec };
    all.push(Draw { masked: 30, ..Draw::ordinary(masked, "masked by -inf; may be degenerate") });
}

/// Presets whose cases come first; those of later ones are at the end, so that no seed is another case.
const FIRST_PRESETS: usize = 29;
const SECOND_PRESETS: usize = 32;
const THIRD_PRESETS: usize = 43;
const FOURTH_PRESETS: usize = 44;

/// Each of these presets: nothing but one key, more keys than queries, fewer, a key that is NaN, rows of zeros.
fn presets(of: &[Preset], all: &mut Vec<Draw>) {
    for preset in of {
        let sizes = [(1, 1), (19, 33), (33, 19), (21, 21), (23, 23)];
        for (n, (seq_q, seq_kv)) in sizes.into_iter().enumerate() {
            let dims = Dims { q_heads: 4, kv_heads: 2, seq_q, seq_kv, ..Dims::new(2, 1, 1, 8) };
            let what = ["", "", "", ", NanKey", ", q Zero"][n];
            let note = format!("preset {}{what}; may be degenerate", preset.name);
            let plain = Draw::ordinary((preset.build)(dims).saving(n % 2 == 1), note);
            all.push(match n {
                3 => Draw { plant: Some(Plant::NanKey), ..plain },
                4 => Draw { families: [Family::Zero, Family::Normal(1.0), Family::Cancelling], ..plain },
                _ => plain,
            });
        }
    }
}

/// Rows of the output that are 0, whose norm has a gradient of 10¹² times theirs.
fn short_rows() -> Draw {
    let epilogue = Epilogue { norm: Some(RowNorm::L2), ..Epilogue::default() };
    let dims = Dims { seq_q: 33, seq_kv: 19, ..Dims::new(1, 2, 1, 8) };
    let (causal, dtype) = (Causal::BottomRight, Dtype::F16);
    Draw::ordinary(Attention { epilogue, causal, dtype, ..Attention::softmax(dims) }, "rows without keys; degenerate")
}

/// Rows so short that gradients between two steps are beyond f16.
fn large_gradients() -> Draw {
    let epilogue = Epilogue { affine: true, norm: Some(RowNorm::L2), ..Epilogue::default() };
    let dims = Dims { seq_q: 29, seq_kv: 37, ..Dims::new(1, 2, 1, 8) };
    let op = Attention { epilogue, dtype: Dtype::F16, weight: Weight::Sigmoid, ..Attention::softmax(dims) };
    let families = [Family::Normal(1.0), Family::Normal(1.0), Family::Denormal];
    Draw { families, ..Draw::ordinary(op, "v Denormal, gradients beyond f16 on the way; degenerate") }
}

/// No keys: the gradient of their gain is 0.
fn no_keys_to_normalise() -> Draw {
    let prologue = Prologue { key_norm: Some(RowNorm::RMS), gain: true, ..Prologue::default() };
    let dims = Dims { seq_q: 9, seq_kv: 0, ..Dims::new(2, 2, 1, 8) };
    Draw::ordinary(Attention { prologue, ..Attention::softmax(dims) }, "a gain and no keys; degenerate")
}

/// Key biases of each key/value head, and penalties on the length of keys beside them.
fn key_biases(all: &mut Vec<Draw>) {
    let penalised =
        Prologue { key_penalty: Some(0.5), key_norm: Some(RowNorm::RMS), gain: true, ..Prologue::default() };
    for weight in [Weight::Softmax, Weight::Sigmoid] {
        let dims = Dims { q_heads: 6, kv_heads: 3, seq_q: 19, seq_kv: 35, ..Dims::new(2, 1, 1, 8) };
        let base = Attention { key_bias: true, ..plain(weight, dims) };
        let per_head = Attention { key_bias_per_head: true, ..base.clone() };
        let packed = Sequences::Packed { total_q: 31, total_kv: 60 };
        let padded = Sequences::Padded { q: true, kv: true };
        for (op, what) in [
            (Attention { causal: Causal::TopLeft, ..per_head.clone() }, "for each head"),
            (Attention { sequences: packed, ..per_head.clone() }, "for each head, packed"),
            (Attention { prologue: penalised, ..base.clone() }, "and a penalty"),
            (Attention { prologue: penalised, sequences: packed, dtype: Dtype::F16, ..base }, "and a penalty, packed"),
            (Attention { prologue: penalised, sequences: padded, ..per_head }, "for each head and a penalty, padded"),
        ] {
            let note = format!("key bias {what}, masked by -inf; may be degenerate");
            all.push(Draw { masked: 20, ..Draw::ordinary(op, note) });
        }
    }
}

/// A row of v that is NaN and that some queries see, others do not.
fn hidden_values(weight: Weight, all: &mut Vec<Draw>) {
    for seq in [9, 17, 24, 31, 40, 70] {
        let dims = Dims { seq_q: seq, seq_kv: seq, ..Dims::new(1, 2, 1, 12) };
        let op = Attention { causal: Causal::TopLeft, ..plain(weight, dims) };
        let note = "NanValue that a causal mask hides; degenerate";
        all.push(Draw { plant: Some(Plant::NanValue), ..Draw::ordinary(op, note) });
    }
}

/// Weights that fall off exponentially must keep their relative accuracy.
fn small_weights(all: &mut Vec<Draw>) {
    for weight in [Weight::Softplus, Weight::EluOne, Weight::ExpClamp(5.0)] {
        for seq in [33, 21] {
            let bias = Bias::Const(-12.0);
            let op = Attention { weight, bias, ..Attention::softmax(Dims::new(2, 2, seq, 8)) };
            all.push(Draw::ordinary(op, "small weights"));
        }
    }
}

fn contents(weight: Weight, all: &mut Vec<Draw>) {
    let spec = plain(weight, Dims { seq_q: 20, seq_kv: 36, ..Dims::new(2, 2, 1, 9) });
    let ordinary = Draw::ordinary(spec.clone(), "");
    for plant in [Plant::NanQuery, Plant::NanKey, Plant::NanValue, Plant::InfiniteValue, Plant::InfiniteKey] {
        let note = format!("{plant:?}; degenerate");
        all.push(Draw { plant: Some(plant), note, ..ordinary.clone() });
    }
    for (plant, per_head) in [(Plant::NanQuery, true), (Plant::NanKey, false)] {
        let op = Attention { score_bias: Some(ScoreBias { per_batch: per_head, per_head }), ..spec.clone() };
        let note = format!("{plant:?} and a score bias; degenerate");
        all.push(Draw { plant: Some(plant), ..Draw::ordinary(op, note) });
    }
    let padded = Attention { sequences: Sequences::Padded { q: true, kv: true }, ..spec };
    all.push(Draw { plant: Some(Plant::Padding), ..Draw::ordinary(padded, "NaN in the padding; may be degenerate") });
    let spike = |height| [Family::Spike(height), Family::Spike(1.0), Family::Normal(1.0)];
    for (families, what) in [
        ([Family::Zero; 3], "all zero; degenerate"),
        ([Family::Equal; 3], "all equal"),
        (spike(264.0), "scores of 88; degenerate"),
        (spike(3e4), "scores of 1e4; degenerate"),
        ([Family::Spike(3e38), Family::Spike(8.0), Family::Normal(1.0)], "scores saturate; degenerate"),
        ([Family::Denormal, Family::Normal(1.0), Family::Normal(1.0)], "denormal queries"),
    ] {
        all.push(Draw { families, note: what.into(), ..ordinary.clone() });
    }
    let (bias, what) = match weight {
        Weight::Softmax => (-200.0, "scores far below 0"),
        _ => (-12.0, "small weights"),
    };
    all.push(Draw::ordinary(Attention { bias: Bias::Const(bias), ..ordinary.op }, what));
}

/// Asserts that the planned cases of a kind, known by how their notes begin, have bounds that say something: of nearly all numbers less than a
/// thousandth of the largest of their tensor.
#[cfg(test)]
pub(super) fn assert_telling(kind: &str, count: usize, but: &[&str]) {
    fn telling<O: Reference>(case: &Case<O>) -> f64 {
        let (mut all, mut tight) = (0, 0);
        for t in crate::bounded(&case.op, &case.inputs).outputs.into_values() {
            let largest = t.values.iter().filter(|x| x.is_finite()).fold(0.0f64, |m, x| m.max(x.abs()));
            all += t.values.len();
            tight += t.values.iter().zip(&t.bounds).filter(|(x, e)| x.is_nan() || **e <= 1e-3 * largest).count();
        }
        if all == 0 { 1.0 } else { tight as f64 / all as f64 }
    }
    let seeds = (0u64..).zip(planned()).filter(|(_, draw)| draw.note.starts_with(kind));
    let seeds: Vec<u64> = seeds.map(|(seed, _)| seed).collect();
    assert_eq!(seeds.len(), count, "{kind}");
    for seed in seeds {
        let (f, b) = (forward(seed), backward(seed));
        for share in [telling(&f), telling(&b)] {
            assert!(but.iter().any(|word| f.note.contains(word)) || share > 0.95, "{seed} {}: {share}", f.note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_is_as_long_as_promised() {
        assert_eq!(planned().len() as u64, PLANNED);
    }

    #[test]
    fn every_case_is_legal_and_replayable() {
        for seed in 0..PLANNED + 100 {
            let (f, b) = (forward(seed), backward(seed));
            f.op.check_inputs(&f.inputs).unwrap_or_else(|e| panic!("forward {seed}: {e}\n{:#?}", f.op));
            b.op.check_inputs(&b.inputs).unwrap_or_else(|e| panic!("backward {seed}: {e}\n{:#?}", b.op));
        }
        assert_eq!(forward(555).op, forward(555).op);
    }
}
