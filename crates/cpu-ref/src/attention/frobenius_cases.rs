//! Planned cases of the normaliser of a whole head: layouts, masks, heads, storage, and heads without a weight.

use gatefold_core::attention::{Bias, Causal, Dims, Epilogue, Gate, Normalizer, Sequences, Weight, Window};
use gatefold_core::{Attention, Dtype};

use super::draw::{Draw, Plant};
use crate::data::Family;

/// How many cases there are.
pub(super) const COUNT: usize = 17;

fn base(seq_q: usize, seq_kv: usize) -> Attention {
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q, seq_kv, ..Dims::new(2, 1, 1, 8) };
    Attention::infsa(dims)
}

/// The cases.
pub(super) fn planned() -> Vec<Draw> {
    let mut all = Vec::new();
    let mut push = |op: Attention, saves: bool, what: &str| {
        all.push(Draw::ordinary(op.saving(saves), format!("whole heads, {what}; may be degenerate")));
    };
    let padded = Sequences::Padded { q: true, kv: true };
    let packed = Sequences::Packed { total_q: 120, total_kv: 130 };
    let half = |a: Attention| Attention { dtype: Dtype::F16, ..a };
    let causal = |a: Attention| Attention { causal: Causal::BottomRight, ..a };
    let scaled = |a: Attention| Attention { scale: Some(1.0), ..a };
    let sized = |eps, a: Attention| Attention { normalizer: Normalizer::GlobalFrobenius(eps), ..a };
    let one = |a: Attention| Attention { dims: Dims { q_heads: 1, kv_heads: 1, batch: 1, ..a.dims }, ..a };
    push(base(33, 65), true, "all keys");
    push(causal(base(70, 64)), false, "causal");
    push(base(1, 130), true, "one query");
    push(one(scaled(base(1, 1))), false, "one pair");
    push(one(base(300, 17)), false, "many queries");
    push(Attention { window: Window { left: Some(7), right: Some(2) }, ..base(50, 50) }, false, "window");
    push(Attention { sequences: padded, ..scaled(base(41, 70)) }, true, "padded");
    push(Attention { sequences: packed, ..causal(base(80, 90)) }, false, "packed");
    push(half(causal(base(37, 49))), true, "f16");
    push(half(Attention { sequences: packed, ..sized(4.0, base(80, 90)) }), false, "f16, packed, a large eps");
    push(Attention { bias: Bias::Const(-40.0), ..base(19, 33) }, true, "no weights; degenerate");
    push(Attention { weight: Weight::Identity, alibi: true, ..base(33, 40) }, false, "signed weights, alibi");
    let gated = Epilogue { gate: Some(Gate::ELEMENT), ..Epilogue::default() };
    push(Attention { epilogue: gated, key_bias: true, ..causal(base(30, 34)) }, true, "gate, key bias");
    push(Attention { dims: Dims { seq_kv: 0, ..base(9, 1).dims }, ..base(9, 1) }, false, "no keys; degenerate");
    let normal = Family::Normal(1.0);
    let planted = |op, plant, what: &str| Draw {
        plant: Some(plant),
        ..Draw::ordinary(op, format!("whole heads, {plant:?}{what}; degenerate"))
    };
    all.push(planted(causal(base(40, 40)), Plant::NanKey, ""));
    all.push(planted(Attention { sequences: padded, ..base(41, 70) }, Plant::Padding, ""));
    let small = [Family::Normal(1e-16), normal, normal];
    all.push(Draw { families: small, ..Draw::ordinary(base(33, 20), "whole heads, small weights; degenerate") });
    all
}
