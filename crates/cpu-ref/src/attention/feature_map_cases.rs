//! Planned cases of feature maps: beside every norm, gain and scale, in every layout and both storage types; keys that are not finite.

use gatefold_core::attention::{
    Causal, Dims, FeatureMap, Normalizer, Prologue, QueryScale, RowNorm, Sequences, Weight,
};
use gatefold_core::{Attention, Dtype};

use super::draw::{Draw, Plant};

/// How many cases there are.
pub(super) const COUNT: usize = 14;

fn base(map: FeatureMap, seq_q: usize, seq_kv: usize) -> Attention {
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q, seq_kv, ..Dims::new(2, 1, 1, 8) };
    let linear = if map == FeatureMap::Relu { Attention::linear_relu(dims) } else { Attention::linear_elu(dims) };
    Attention { causal: Causal::None, ..linear }
}

fn with(op: Attention, norm: RowNorm, gain: bool, query_scale: Option<QueryScale>) -> Attention {
    let prologue = Prologue { query_norm: Some(norm), key_norm: Some(norm), gain, query_scale, ..op.prologue };
    Attention { prologue, ..op }
}

/// The cases.
pub(super) fn planned() -> Vec<Draw> {
    let mut all = Vec::new();
    let mut push = |op: Attention, what: &str| {
        all.push(Draw::ordinary(op.saving(true), format!("features, {what}; may be degenerate")));
    };
    let (relu, elu) = (FeatureMap::Relu, FeatureMap::EluOne);
    let (padded, packed) = (Sequences::Padded { q: true, kv: true }, Sequences::Packed { total_q: 60, total_kv: 71 });
    let given = Some(QueryScale::Given);
    let half = |op: Attention| Attention { dtype: Dtype::F16, ..op };
    let wide = |op: Attention| Attention { dims: Dims { head_dim: 37, val_dim: 5, ..op.dims }, ..op };
    push(Attention { sequences: padded, ..base(elu, 30, 41) }, "padded");
    push(Attention { sequences: packed, causal: Causal::BottomRight, ..base(relu, 45, 50) }, "packed, causal");
    push(half(Attention { causal: Causal::BottomRight, ..base(elu, 35, 49) }), "f16");
    push(half(Attention { sequences: packed, ..base(relu, 45, 50) }), "f16, packed");
    push(with(base(relu, 21, 33), RowNorm::L2, true, given), "after a norm and a gain, before a scale");
    push(with(base(elu, 21, 33), RowNorm::RMS, true, given), "after a norm and a gain, before a scale");
    push(with(base(relu, 21, 33), RowNorm::LAYER, false, None), "after a norm that centres");
    push(half(with(base(elu, 21, 33), RowNorm::LAYER, true, None)), "f16, after a norm that centres");
    let softmax = Attention { weight: Weight::Softmax, normalizer: Normalizer::None, ..base(relu, 33, 20) };
    let penalty = Prologue { key_penalty: Some(1.0), ..softmax.prologue };
    push(Attention { prologue: penalty, ..softmax }, "softmax, a penalty on keys");
    push(wide(base(elu, 1, 70)), "one query, odd widths");
    push(base(relu, 5, 0), "no keys; degenerate");
    for (map, plant) in [(relu, Plant::InfiniteKeyBelow), (elu, Plant::InfiniteKey), (elu, Plant::NanKey)] {
        // what becomes 0 is seen by every query, some of the rest by none
        let causal = if plant == Plant::InfiniteKeyBelow { Causal::None } else { Causal::TopLeft };
        let op = Attention { causal, ..base(map, 23, 40) };
        let note = format!("features, {plant:?}; degenerate");
        all.push(Draw { plant: Some(plant), ..Draw::ordinary(op, note) });
    }

    all
}
