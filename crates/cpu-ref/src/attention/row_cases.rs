//! Planned cases of prologues and epilogues: any choice of one slot meets any choice of another in some case.

use gatefold_core::attention::{
    Activation, Causal, Dims, Epilogue, Gate, Normalizer, Prologue, QueryScale, RowNorm, Sequences, Weight,
};
use gatefold_core::{Attention, Dtype};

use super::draw::{Draw, Plant};
use super::pairs::choices;
use crate::data::Family;

/// How many values each slot has: gate, activation of the values' scale (two are none), sequences, contents, weight, what makes other
/// kernels, order of gate and norm, norms of queries, outputs and keys, gain, scale of the queries.
const SLOTS: [usize; 12] = [9, 6, 3, 3, 3, 2, 2, 4, 4, 4, 2, 3];

/// How many cases there are.
pub(super) const COUNT: usize = SLOTS[0] * SLOTS[1];

const NORMS: [Option<RowNorm>; 4] = [None, Some(RowNorm::L2), Some(RowNorm::RMS), Some(RowNorm::LAYER)];

/// A norm; in half of the cases an L2 norm leaves rows of less than a usual length short.
fn norm(at: usize, other: bool) -> Option<RowNorm> {
    if at == 1 && !other { Some(RowNorm::L2 { eps: 3.0 }) } else { NORMS[at] }
}

fn draw(choice: [usize; SLOTS.len()]) -> Draw {
    let [gate, value, sequences, contents, weight, kernels, order, query, output, key, gain, scale] = choice;
    let other = kernels == 1;
    let (head_dim, val_dim) = if other { (10, 6) } else { (16, 8) };
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q: 17, seq_kv: 29, head_dim, val_dim, ..Dims::new(2, 1, 1, 1) };
    let prologue = Prologue {
        query_norm: norm(query, other),
        key_norm: norm(key, other),
        gain: gain == 1 && query + key > 0,
        query_scale: [None, Some(QueryScale::Given), Some(QueryScale::LogKeys)][scale],
        value_scale: Activation::ALL.get(value).copied(),
        key_penalty: [None, None, None, Some(1.0)][key],
        query_penalty: None,
        feature_map: None,
    };
    let gate = gate.checked_sub(1).map(|at| Gate { activation: Activation::ALL[at / 2], per_head: at % 2 == 1 });
    let norm = norm(output, other);
    let gate_last = order == 1 && gate.is_some() && norm.is_some();
    let epilogue = Epilogue { gate, norm, gain: gain == 1 && norm.is_some(), gate_last, ..Epilogue::default() };
    let (weight, normalizer) = [
        (Weight::Softmax, Normalizer::None),
        (Weight::Sigmoid, Normalizer::None),
        (Weight::Softplus, Normalizer::RowSum),
    ][weight];
    let op = Attention {
        weight,
        normalizer,
        prologue,
        epilogue,
        causal: if other { Causal::BottomRight } else { Causal::None },
        sequences: [
            Sequences::Dense,
            Sequences::Padded { q: true, kv: true },
            Sequences::Packed { total_q: 28, total_kv: 49 },
        ][sequences],
        dtype: if other { Dtype::F16 } else { Dtype::F32 },
        ..Attention::softmax(dims)
    };
    let op = op.saving(order == 1);
    let normal = Family::Normal(1.0);
    let (families, plant, words) = match contents {
        0 => ([normal; 3], None, ""),
        1 if other => ([Family::Zero, normal, Family::Cancelling], None, ", q Zero"),
        1 => ([Family::Normal(4.0), Family::Uniform, normal], None, ", q Normal(4)"),
        _ => ([normal; 3], Some(Plant::NanKey), ", NaN key"),
    };
    let note = format!("rows before and after{words}; may be degenerate");
    Draw { families, plant, ..Draw::ordinary(op, note) }
}

/// The cases.
pub(super) fn planned() -> impl Iterator<Item = Draw> {
    choices(SLOTS).into_iter().map(draw)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_pair_of_values_meets() {
        let all = choices(SLOTS);
        for (a, b) in (0..SLOTS.len()).flat_map(|b| (0..b).map(move |a| (a, b))) {
            let met: BTreeSet<_> = all.iter().map(|c| (c[a], c[b])).collect();
            assert_eq!(met.len(), SLOTS[a] * SLOTS[b], "slots {a} and {b}");
        }
    }
}
