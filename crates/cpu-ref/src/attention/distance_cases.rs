//! Planned cases of scores that are distances: the two products of SOFT, layouts, masks, heads, storage.

use gatefold_core::attention::{Causal, Dims, Normalizer, Prologue, QueryScale, RowNorm, Sequences, Weight};
use gatefold_core::{Attention, Dtype};

use super::draw::{Draw, Plant};
use crate::data::Family;

/// How many cases there are.
pub(super) const COUNT: usize = 12;

fn base(seq_q: usize, seq_kv: usize) -> Attention {
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q, seq_kv, ..Dims::new(2, 1, 1, 8) };
    Attention::soft_products(dims)
}

/// The cases.
pub(super) fn planned() -> Vec<Draw> {
    let mut all = Vec::new();
    let mut push = |op: Attention, what: &str| {
        all.push(Draw::ordinary(op.saving(true), format!("distances, {what}; may be degenerate")));
    };
    let padded = Sequences::Padded { q: true, kv: true };
    let packed = Sequences::Packed { total_q: 70, total_kv: 81 };
    let landmarks = |seq_q, seq_kv| Attention { dims: Dims { q_heads: 2, ..base(seq_q, seq_kv).dims }, ..base(1, 1) };
    let summed = Attention { normalizer: Normalizer::RowSum, causal: Causal::TopLeft, ..base(40, 40) };
    let normed = Prologue {
        query_norm: Some(RowNorm::RMS),
        key_norm: Some(RowNorm::RMS),
        query_scale: Some(QueryScale::Given),
        ..base(1, 1).prologue
    };
    push(landmarks(130, 9), "queries by landmarks");
    push(landmarks(9, 130), "landmarks by keys");
    push(base(1, 90), "one query");
    push(Attention { sequences: padded, key_bias: true, ..base(30, 41) }, "padded, key bias");
    push(Attention { sequences: packed, alibi: true, ..base(45, 50) }, "packed, alibi");
    push(Attention { dtype: Dtype::F16, causal: Causal::BottomRight, ..base(35, 49) }, "f16");
    push(base(0, 5), "no queries; degenerate");
    push(summed, "by the row sum, causal");
    push(Attention { prologue: normed, ..base(21, 33) }, "normed rows");
    push(Attention { weight: Weight::Softmax, ..base(33, 20) }, "softmax");
    let planted = Draw::ordinary(base(33, 40), "distances, NanQuery; degenerate");
    all.push(Draw { plant: Some(Plant::NanQuery), ..planted });
    let long = [Family::Normal(4.0), Family::Normal(4.0), Family::Normal(1.0)];
    all.push(Draw { families: long, ..Draw::ordinary(base(33, 40), "distances, long rows; may be degenerate") });
    all
}
