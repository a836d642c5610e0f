//! Planned cases of the affine epilogue: masks, layouts and lengths at the edges of blocks, and of blocks of blocks.

use gatefold_core::attention::{
    Activation, Causal, Dims, Epilogue, Gate, Normalizer, Prologue, RowNorm, Sequences, Weight, Window,
};
use gatefold_core::{Attention, Dtype};

use super::draw::{Draw, Plant};
use crate::data::Family;

/// How many cases there are.
pub(super) const COUNT: usize = 20;

const AFFINE: Epilogue =
    Epilogue { affine: true, gate: None, norm: None, gain: false, gate_last: false, injection: None };

fn base(seq_q: usize, seq_kv: usize) -> Attention {
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q, seq_kv, head_dim: 8, val_dim: 6, batch: 2 };
    Attention { epilogue: AFFINE, ..Attention::softmax(dims) }
}

/// The cases.
pub(super) fn planned() -> Vec<Draw> {
    let mut all = Vec::new();
    let mut push = |op: Attention, saves: bool, what: &str| {
        all.push(Draw::ordinary(op.saving(saves), format!("affine, {what}; may be degenerate")));
    };
    let causal = |a: Attention| Attention { causal: Causal::BottomRight, ..a };
    let sigmoid = |a: Attention| Attention { weight: Weight::Sigmoid, ..a };
    let half = |a: Attention| Attention { dtype: Dtype::F16, ..a };
    let with = |a: Attention, gate, norm| Attention { epilogue: Epilogue { gate, norm, ..AFFINE }, ..a };
    let one_head = |a: Attention| Attention { dims: Dims { q_heads: 1, kv_heads: 1, batch: 1, ..a.dims }, ..a };
    let window = Window { left: Some(300), right: Some(21) };
    push(base(19, 33), false, "all keys");
    push(causal(base(33, 33)), true, "causal");
    push(one_head(causal(base(600, 601))), false, "blocks of blocks");
    push(one_head(Attention { window, ..base(610, 600) }), false, "window");
    push(Attention { window: Window { left: Some(3), right: Some(0) }, ..base(40, 50) }, true, "narrow window");
    push(Attention { causal: Causal::TopLeft, ..sigmoid(base(50, 40)) }, true, "top left");
    push(Attention { chunk: Some(17), ..base(60, 70) }, false, "chunks");
    push(Attention { prefix: Some(37), ..causal(base(64, 50)) }, false, "prefix");
    let padded = Sequences::Padded { q: true, kv: true };
    push(Attention { sequences: padded, ..causal(base(41, 70)) }, true, "padded");
    let packed = Sequences::Packed { total_q: 70, total_kv: 100 };
    push(Attention { sequences: packed, ..base(45, 80) }, false, "packed");
    push(Attention { sequences: packed, ..causal(sigmoid(base(45, 80))) }, true, "packed, causal");
    push(half(causal(base(37, 49))), true, "f16");
    push(with(causal(base(30, 34)), Some(Gate::ELEMENT), None), true, "gate");
    push(with(half(base(30, 34)), Some(Gate::HEAD), Some(RowNorm::RMS)), false, "gate and norm");
    let scaled = Prologue { value_scale: Some(Activation::Sigmoid), ..Prologue::default() };
    let (weight, normalizer) = (Weight::Softplus, Normalizer::RowSum);
    let normed = with(Attention { weight, normalizer, prologue: scaled, ..base(30, 34) }, None, Some(RowNorm::LAYER));
    push(normed, true, "norm, values scaled");
    push(half(Attention { prologue: scaled, sequences: packed, ..base(45, 80) }), false, "values scaled");
    push(base(0, 5), false, "no queries; degenerate");
    let planted = Draw::ordinary(causal(base(53, 53)), "affine, NanValue; degenerate");
    let families = [Family::Normal(1.0), Family::Normal(1.0), Family::Normal(100.0)];
    all.push(Draw { plant: Some(Plant::NanValue), families, ..planted });
    let relu = Attention { weight: Weight::Relu, ..causal(base(37, 37)) };
    let planted = Draw::ordinary(relu.saving(true), "affine, relu, NanValue; degenerate");
    all.push(Draw { plant: Some(Plant::NanValue), ..planted });
    let planted = Draw::ordinary(with(base(33, 40), None, Some(RowNorm::L2)), "affine, InfiniteValue; degenerate");
    all.push(Draw { plant: Some(Plant::InfiniteValue), ..planted });
    all
}
