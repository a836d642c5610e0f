//! Planned cases of a bias by relative position: reaches of nothing, of some tiles and of everything, layouts, masks, weights, storage.

use gatefold_core::attention::{
    Bias, Causal, Dims, Dropout, Normalizer, Prologue, RelativeBias, RowNorm, Sequences, Weight, Window,
};
use gatefold_core::{Attention, Dtype};

use super::draw::{Draw, Plant};

/// How many cases there are.
pub(super) const COUNT: usize = 12;

fn base(seq_q: usize, seq_kv: usize, reach: u32) -> Attention {
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q, seq_kv, ..Dims::new(2, 1, 1, 8) };
    Attention { relative_bias: Some(RelativeBias { reach }), ..Attention::softmax(dims) }
}

/// The cases.
pub(super) fn planned() -> Vec<Draw> {
    let mut all = Vec::new();
    let draw = |op: Attention, what: &str| {
        Draw::ordinary(op.saving(true), format!("relative bias, {what}; may be degenerate"))
    };
    let mut push = |op: Attention, what: &str| all.push(draw(op, what));
    let padded = Sequences::Padded { q: true, kv: true };
    let packed = Sequences::Packed { total_q: 70, total_kv: 81 };
    let paged = Sequences::Paged { page: 16, pages: 40 };
    let (causal, dtype) = (Causal::BottomRight, Dtype::F16);
    let wide = Dims { head_dim: 10, seq_q: 70, seq_kv: 130, ..Dims::new(3, 2, 1, 6) };
    let window = Window { left: Some(20), right: Some(9) };
    let sigmoid = |op| Attention { weight: Weight::Sigmoid, bias: Bias::NegLogKeys, ..op };
    let long = Dims { q_heads: 1, kv_heads: 1, batch: 1, ..base(200, 260, 0).dims };
    let dropout = Some(Dropout::new(0.25, 5));
    let elu = Attention { weight: Weight::EluOne, normalizer: Normalizer::RowSum, ..base(40, 50, 9) };
    let normed = Attention { head_bias: true, ..base(21, 33, 4) };
    let prologue = Prologue { key_norm: Some(RowNorm::RMS), ..normed.prologue };
    push(base(33, 19, 5), "dense");
    push(Attention { causal, dtype, ..base(40, 40, 100) }, "f16, beyond every distance");
    push(Attention { sequences: packed, window, ..sigmoid(base(45, 50, 3)) }, "packed, window");
    push(base(9, 0, 2), "no keys");
    push(Attention { sequences: paged, ..base(1, 300, 16) }, "one query, paged");
    push(base(20, 23, 0), "one element");
    push(Attention { dims: wide, softcap: Some(1.5), causal: Causal::TopLeft, ..base(1, 1, 12) }, "several tiles");
    push(Attention { chunk: Some(16), prefix: Some(7), causal, ..elu }, "by the row sum, chunks");
    push(Attention { dims: long, dropout, ..sigmoid(base(200, 260, 90)) }, "dropout");
    push(Attention { prologue, ..normed }, "normed rows");
    let masked = Attention { sequences: padded, key_bias: true, alibi: true, ..base(30, 41, 7) };
    all.push(Draw { masked: 20, ..draw(masked, "padded, masked by -inf") });
    all.push(Draw { plant: Some(Plant::NanKey), ..draw(base(33, 40, 6), "NanKey; degenerate") });
    all
}
