//! Planned cases of gates that kernels apply as they store rows: every layout, decoding, widths that are not multiples of 4, and edges of f16.

use gatefold_core::attention::{Activation, Causal, Dims, Epilogue, Gate, Injection, Sequences, Weight};
use gatefold_core::{Attention, Dtype};

use super::draw::{Draw, Plant};
use crate::data::Family;

/// How many cases there are.
pub(super) const COUNT: usize = 9;

/// The cases. None asks for what was there before the gate, which is then a step of its own.
pub(super) fn planned() -> Vec<Draw> {
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q: 19, seq_kv: 22, head_dim: 8, val_dim: 8, batch: 2 };
    let gated = |gate: Gate, op: Attention| {
        let epilogue = Epilogue { gate: Some(gate), ..Epilogue::default() };
        Attention { epilogue, causal: Causal::BottomRight, ..op }
    };
    let base = Attention::softmax(dims);
    let sigmoid = Attention { weight: Weight::Sigmoid, ..base.clone() };
    let half = Attention { dtype: Dtype::F16, ..base.clone() };
    let narrow = Attention { dims: Dims { val_dim: 6, ..dims }, ..base.clone() };
    let packed = |op: Attention| Attention { sequences: Sequences::Packed { total_q: 33, total_kv: 40 }, ..op };
    let padded = |op: Attention| Attention { sequences: Sequences::Padded { q: true, kv: true }, ..op };
    let decode = |op: Attention| Attention { dims: Dims { seq_q: 1, seq_kv: 700, ..dims }, ..op };
    let case = |op: Attention, what: &str| Draw::ordinary(op, format!("gate, {what}; may be degenerate"));
    let tanh = Gate { activation: Activation::Tanh, per_head: true };
    let silu = Gate { activation: Activation::Silu, per_head: false };
    let padding = |draw: Draw| Draw { plant: Some(Plant::Padding), ..draw };
    let injected = Epilogue { injection: Some(Injection::LastRow), ..Epilogue::default() };
    let large = [Family::Normal(1.0), Family::Normal(1.0), Family::Normal(60_000.0)];
    vec![
        case(gated(Gate::HEAD, packed(base.clone())), "packed, per head"),
        case(gated(silu, packed(half.clone())), "packed, f16"),
        padding(case(gated(Gate::ELEMENT, padded(base.clone())), "NaN in the padding")),
        padding(case(gated(tanh, padded(half.clone())), "NaN in the padding, per head")),
        case(gated(Gate::ELEMENT, decode(base.clone())), "decoding"),
        case(gated(Gate::HEAD, padded(decode(half.clone()))), "decoding, padded"),
        case(gated(Gate::ELEMENT, Attention { dtype: Dtype::F16, ..narrow }), "a narrow width"),
        Draw {
            families: large,
            ..case(gated(Gate::ELEMENT, Attention { dtype: Dtype::F16, ..sigmoid }), "beyond f16")
        },
        case(Attention { epilogue: injected, ..padded(base) }, "beside it, injection, last row, padded"),
    ]
}
