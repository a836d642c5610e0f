//! Planned cases of a sink key: layouts, masks, heads, storage, what the softcap and a prologue do to its logit, rows that see nothing else.

use gatefold_core::attention::{Causal, Dims, Prologue, QueryScale, RowNorm, Sequences};
use gatefold_core::{Attention, Dtype};

use super::draw::{Draw, Plant};
use crate::data::Family;

/// How many cases there are.
pub(super) const COUNT: usize = 13;

fn base(seq_q: usize, seq_kv: usize) -> Attention {
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q, seq_kv, ..Dims::new(2, 1, 1, 8) };
    Attention { sink_key: true, ..Attention::softmax(dims) }
}

/// The cases.
pub(super) fn planned() -> Vec<Draw> {
    let mut all = Vec::new();
    let mut push = |op: Attention, what: &str| {
        all.push(Draw::ordinary(op.saving(true), format!("sink key, {what}; may be degenerate")));
    };
    let padded = Sequences::Padded { q: true, kv: true };
    let packed = Sequences::Packed { total_q: 70, total_kv: 81 };
    let paged = Sequences::Paged { page: 16, pages: 40 };
    let prologue = Prologue {
        query_norm: Some(RowNorm::RMS),
        key_norm: Some(RowNorm::RMS),
        gain: true,
        query_scale: Some(QueryScale::Given),
        query_penalty: Some(0.5),
        ..Prologue::default()
    };
    let wide = Dims { head_dim: 10, ..Dims::new(3, 2, 70, 6) };
    let (causal, dtype) = (Causal::BottomRight, Dtype::F16);
    push(base(33, 19), "dense");
    push(Attention { causal, dtype, ..base(40, 21) }, "f16, rows without keys");
    push(Attention { sequences: padded, ..base(30, 41) }, "padded");
    push(Attention { sequences: packed, causal, alibi: true, key_bias: true, ..base(45, 50) }, "packed, biases");
    push(base(9, 0), "no keys");
    push(base(0, 5), "no queries; degenerate");
    push(Attention { prologue, ..base(21, 33) }, "normed rows");
    push(Attention { prologue, dtype, ..base(21, 33) }, "normed rows, f16");
    push(Attention { sequences: paged, ..base(1, 300) }, "one query, paged");
    push(Attention { dims: wide, scale: Some(-0.3), softcap: Some(1.5), ..base(1, 1) }, "several blocks of rows");
    push(Attention { dims: Dims { batch: 5, seq_q: 200, seq_kv: 5, ..base(1, 1).dims }, ..base(1, 1) }, "many rows");
    let planted = Draw::ordinary(base(33, 40), "sink key, NanKey; degenerate");
    all.push(Draw { plant: Some(Plant::NanKey), ..planted });
    let spike = [Family::Spike(264.0), Family::Spike(1.0), Family::Normal(1.0)];
    all.push(Draw { families: spike, ..Draw::ordinary(base(33, 40), "sink key, scores of 88; degenerate") });
    all
}
