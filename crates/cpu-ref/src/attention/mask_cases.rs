//! Cases of masks inside the range of keys that a query sees: planned ones, and how their inputs are drawn.

use gatefold_core::attention::{
    Bias, BlockMap, Causal, Dims, MaskMod, Normalizer, QueryScale, ScoreBias, Sequences, Weight, Window,
};
use gatefold_core::{Attention, Dtype, Operand};

use super::draw::{Draw, Plant};
use crate::data::{Family, Rng};

/// How many cases there are.
pub(super) const COUNT: usize = 16;

/// A spec with one to three masks, for a style that has them.
pub(super) fn with_masks(rng: &mut Rng, op: Attention) -> Attention {
    if op.prologue.query_scale == Some(QueryScale::LogKeys) || op.epilogue.affine {
        return op;
    }
    let which = rng.below(6);
    let sinks = matches!(which, 0 | 3 | 5).then(|| rng.pick(&[0, 1, 4, 17, 40, 300]));
    let left = op.window.left.or_else(|| sinks.map(|_| rng.pick(&[0, 3, 20, 70])));
    let size = |rng: &mut Rng| rng.pick(&[16, 17, 32, 64]);
    let map = matches!(which, 0 | 2 | 4 | 5).then(|| BlockMap {
        q: size(rng),
        kv: size(rng),
        per_batch: rng.chance(50),
        per_head: rng.chance(50),
    });
    let window = Window { left, ..op.window };
    Attention { sink_tokens: sinks, window, documents: matches!(which, 1 | 3 | 4), block_map: map, ..op }
}

/// The elements of an input of a mask, `None` if it is another's: runs of documents, some of which come again, and maps that are half empty.
pub(super) fn ints(rng: &mut Rng, o: &Operand) -> Option<Vec<u32>> {
    match o.name {
        "document_q" | "document_kv" => {
            let (width, go_on) = (o.dims.last().copied().unwrap_or(1), 92 + rng.below(6));
            let mut document = 0;
            let next = |at: usize| {
                document = if at.is_multiple_of(width) { 0 } else { document + u32::from(!rng.chance(go_on)) };
                document % 5 * 0x3000_0001
            };
            Some((0..o.len()).map(next).collect())
        }
        "block_map" => {
            Some((0..o.len()).map(|_| if rng.chance(50) { rng.pick(&[1, 2, u32::MAX]) } else { 0 }).collect())
        }
        _ => None,
    }
}

/// Every third key by batch entry and head, and the query's own.
pub(super) fn thirds() -> MaskMod {
    let text = "fn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool {
    return (i == j) | ((j + head + batch) % 3u != 0u);
}";
    MaskMod::custom("thirds", text, |b, h, i, j| i == j || (j + h + b) % 3 != 0)
}

fn dims(heads: (usize, usize), seq_q: usize, seq_kv: usize) -> Dims {
    Dims { q_heads: heads.0, kv_heads: heads.1, seq_q, seq_kv, ..Dims::new(2, 1, 1, 8) }
}

fn softmax(heads: (usize, usize), seq_q: usize, seq_kv: usize) -> Attention {
    Attention::softmax(dims(heads, seq_q, seq_kv)).saving(true)
}

fn ordinary(op: Attention, what: &str) -> Draw {
    Draw::ordinary(op, format!("masks: {what}; may be degenerate"))
}

fn sink_tokens() -> Vec<Draw> {
    let causal = Causal::BottomRight;
    let window = |left, right| Window { left: Some(left), right };
    let with = |n, window, op| Attention { sink_tokens: Some(n), window, ..op };
    let plain = with(5, window(20, None), Attention { causal, ..softmax((2, 2), 130, 130) });
    let two_sided = with(3, window(10, Some(7)), softmax((4, 2), 45, 150));
    let padded = Sequences::Padded { q: true, kv: true };
    let chunks = Attention::sigmoid(dims((2, 2), 70, 90));
    let packed = Sequences::Packed { total_q: 131, total_kv: 170 };
    let decode = with(4, window(30, None), Attention { causal, ..softmax((8, 2), 1, 300) });
    let hidden = Draw { plant: Some(Plant::NanKey), ..ordinary(plain.clone(), "sink tokens, NaN key") };
    let half = Attention { dtype: Dtype::F16, sequences: padded, ..two_sided };
    let chunks = Attention { chunk: Some(50), sequences: packed, ..with(9, window(6, None), chunks) };
    vec![
        ordinary(plain, "sink tokens"),
        ordinary(half, "sink tokens, padded"),
        ordinary(chunks, "sink tokens, chunks, packed"),
        ordinary(decode, "sink tokens, one query"),
        hidden,
    ]
}

fn documents() -> Vec<Draw> {
    let with = |op| Attention { documents: true, ..op };
    let plain = with(softmax((2, 2), 130, 110));
    let packed = Sequences::Packed { total_q: 131, total_kv: 170 };
    let padded = Sequences::Padded { q: true, kv: true };
    let few = with(softmax((6, 2), 3, 200));
    vec![
        ordinary(Attention { causal: Causal::TopLeft, ..plain.clone() }, "documents"),
        ordinary(with(Attention { sequences: packed, ..softmax((4, 2), 70, 90) }), "documents, packed"),
        ordinary(Attention { sequences: padded, dtype: Dtype::F16, ..few }, "documents, few queries"),
        Draw { plant: Some(Plant::NanValue), ..ordinary(plain, "documents, NaN value") },
    ]
}

fn block_maps() -> Vec<Draw> {
    let shared = BlockMap { q: 16, kv: 32, per_batch: false, per_head: false };
    let own = BlockMap { q: 33, kv: 16, per_batch: true, per_head: true };
    let with = |map, op| Attention { block_map: Some(map), ..op };
    let padded = Sequences::Padded { q: true, kv: true };
    let half = Attention { dtype: Dtype::F16, sequences: padded, ..softmax((4, 2), 90, 130) };
    let by_head = BlockMap { per_batch: false, q: 64, ..own };
    let decode = with(by_head, Attention { causal: Causal::BottomRight, ..softmax((8, 2), 1, 300) });
    let plain = with(shared, softmax((2, 2), 100, 130));
    vec![
        ordinary(plain.clone(), "block map"),
        ordinary(with(own, half), "block map, padded"),
        ordinary(decode, "block map, one query"),
        Draw { plant: Some(Plant::NanKey), ..ordinary(plain, "block map, NaN key") },
    ]
}

/// The cases.
pub(super) fn planned() -> Vec<Draw> {
    let map = BlockMap { q: 40, kv: 24, per_batch: true, per_head: false };
    let window = Window { left: Some(12), right: None };
    let all = |op| Attention { sink_tokens: Some(6), window, documents: true, block_map: Some(map), ..op };
    let counted = Attention {
        weight: Weight::Softplus,
        normalizer: Normalizer::Count,
        bias: Bias::Const(-0.5),
        key_bias: true,
        score_bias: Some(ScoreBias { per_batch: true, per_head: false }),
        ..Attention::softmax(dims((4, 2), 50, 70))
    };
    let both = all(softmax((4, 2), 60, 80)).with_mask_mod(thirds());
    let few = all(softmax((4, 2), 5, 90)).with_mask_mod(thirds());
    let mut found = sink_tokens();
    found.extend(documents());
    found.extend(block_maps());
    found.push(ordinary(both, "all, and the user's"));
    found.push(ordinary(few, "all, and the user's, few queries"));
    let families = [Family::Normal(1.0), Family::Uniform, Family::Normal(1.0)];
    found.push(Draw { families, masked: 10, ..ordinary(all(counted), "all, counted") });
    found
}
