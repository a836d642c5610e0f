//! Cases of dropout.

use gatefold_core::attention::{Causal, Dims, Dropout, Epilogue, Gate, Normalizer, ScoreBias, Sequences, Weight};
use gatefold_core::{Attention, Dtype};

use super::draw::{Draw, Plant};

/// How many cases there are.
pub(super) const COUNT: usize = 18;
/// And of those whose calls have seeds of their own.
pub(super) const SEEDED: usize = 5;

fn dims(heads: (usize, usize), seq_q: usize, seq_kv: usize) -> Dims {
    Dims { q_heads: heads.0, kv_heads: heads.1, seq_q, seq_kv, ..Dims::new(2, 1, 1, 8) }
}

fn with(probability: f32, seed: u64, op: Attention) -> Attention {
    Attention { dropout: Some(Dropout::new(probability, seed)), ..op }
}

fn softmax(heads: (usize, usize), seq_q: usize, seq_kv: usize) -> Attention {
    Attention::softmax(dims(heads, seq_q, seq_kv)).saving(true)
}

fn sigmoid(heads: (usize, usize), seq_q: usize, seq_kv: usize) -> Attention {
    Attention::sigmoid(dims(heads, seq_q, seq_kv))
}

/// Cases whose calls have seeds of their own.
pub(super) fn seeded() -> Vec<Draw> {
    let (packed, padded) = (Sequences::Packed { total_q: 31, total_kv: 51 }, Sequences::Padded { q: true, kv: true });
    let seeded = |probability, seed, op: Attention| {
        let dropout = Some(Dropout { seed_input: true, ..Dropout::new(probability, seed) });
        Draw::ordinary(Attention { dropout, ..op }, "dropout, a seed for the call; may be degenerate")
    };
    let row_sum = Attention { weight: Weight::EluOne, normalizer: Normalizer::RowSum, ..softmax((4, 2), 19, 33) };
    vec![
        seeded(0.25, 0, Attention { causal: Causal::TopLeft, ..softmax((4, 2), 21, 27) }),
        seeded(0.5, 3 << 40 | 1, Attention { dtype: Dtype::F16, sequences: padded, ..softmax((4, 2), 17, 40) }),
        seeded(0.4, 9, Attention { sequences: packed, ..row_sum }.saving(true)),
        seeded(0.4, 3, Attention { causal: Causal::BottomRight, ..sigmoid((4, 1), 1, 300) }),
        seeded(0.0, 3, softmax((2, 2), 9, 11)),
    ]
}

/// The cases.
pub(super) fn planned() -> Vec<Draw> {
    let ordinary = |op: Attention, what: &str| Draw::ordinary(op, format!("dropout{what}; may be degenerate"));
    let (packed, padded) = (Sequences::Packed { total_q: 131, total_kv: 170 }, Sequences::Padded { q: true, kv: true });
    let paged = Sequences::Paged { page: 16, pages: 13 };
    let causal = Causal::BottomRight;
    let plain = with(0.25, 1, softmax((2, 2), 70, 70));
    let row_sum = Attention { weight: Weight::EluOne, normalizer: Normalizer::RowSum, ..softmax((4, 2), 45, 66) };
    let bias = Some(ScoreBias { per_batch: false, per_head: true });
    let half = Attention { dtype: Dtype::F16, sequences: padded, sink: true, ..softmax((4, 2), 40, 90) };
    let gated = Epilogue { gate: Some(Gate::ELEMENT), ..Epilogue::default() };
    vec![
        ordinary(plain.clone(), ""),
        ordinary(with(0.25, 1 << 63, plain.clone()), ", another seed"),
        ordinary(with(0.0, 1, plain.clone()), " of nothing"),
        ordinary(with(1e-9, 1, plain.clone()), " of next to nothing"),
        ordinary(with(1.0 - f32::EPSILON / 2.0, 1, plain.clone()), " of next to all; degenerate"),
        ordinary(with(0.9, u64::MAX, Attention { causal, ..softmax((6, 3), 33, 65) }), " of most, causal"),
        ordinary(with(0.3, 77, Attention { causal, ..sigmoid((4, 2), 65, 197) }), ", sigmoid"),
        ordinary(with(0.1, 5, Attention { sequences: packed, causal, ..softmax((4, 2), 70, 90) }), ", packed"),
        ordinary(with(0.2, 0x1234_5678_9abc_def0, half), ", padded"),
        ordinary(with(0.5, 9, Attention { score_bias: bias, alibi: true, ..softmax((2, 1), 35, 41) }), ", score bias"),
        ordinary(with(0.4, 3, Attention { sequences: padded, ..softmax((4, 1), 3, 300) }), ", few queries"),
        ordinary(with(0.4, 3, Attention { causal, ..sigmoid((4, 1), 1, 300) }), ", one query"),
        ordinary(with(0.4, 3, Attention { sequences: paged, ..softmax((4, 2), 5, 90) }), ", paged"),
        ordinary(with(0.5, 6, row_sum.saving(true)), ", row sum"),
        ordinary(with(0.5, 6, Attention { epilogue: gated, ..softmax((2, 2), 19, 33) }), ", gate"),
        ordinary(with(0.5, 2, softmax((1, 1), 1, 1)), ", one pair; degenerate"),
        ordinary(with(0.5, 2, softmax((2, 2), 9, 0)), ", no keys; degenerate"),
        Draw {
            plant: Some(Plant::NanValue),
            ..ordinary(with(0.5, 8, softmax((2, 2), 35, 41)), ", NaN value; degenerate")
        },
    ]
}
