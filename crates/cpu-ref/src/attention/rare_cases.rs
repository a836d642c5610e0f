//! Planned cases of options that few specs have, with each other and with every value of the other slots that a spec may have beside them.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use gatefold_core::attention::{
    Activation, BlockMap, Causal, Dims, Dropout, Epilogue, FeatureMap, Gate, Injection, NanPolicy, Normalizer,
    Prologue, QueryScale, RelativeBias, RowNorm, ScoreBias, Sequences, Storage, Weight, Window,
};
use gatefold_core::{Attention, Dtype, Op};

use super::custom_cases::near;
use super::draw::{Draw, Plant};
use super::mask_cases::thirds;
use crate::data::{Family, Rng};

/// How many values each slot has: the rare options of weights and rows, those of scores and storage, masks, weight, prologue, epilogue, bias,
/// causal mask, sequences, sizes, contents, what is stored.
const SLOTS: [usize; 12] = [8, 7, 6, 5, 4, 4, 4, 3, 4, 4, 4, 3];

/// How many cases there are: as many as it takes.
pub(super) const COUNT: usize = 63;

/// Choices that each case is the best of.
const TRIED: usize = 1_000;
const SALT: u64 = 0x4a4e;

type Choice = [usize; SLOTS.len()];

fn with_prologue(at: usize) -> Prologue {
    let plain = Prologue::default();
    match at {
        0 => plain,
        1 => Prologue { query_norm: Some(RowNorm::L2), key_norm: Some(RowNorm::RMS), gain: true, ..plain },
        2 => Prologue { query_scale: Some(QueryScale::Given), value_scale: Some(Activation::Silu), ..plain },
        _ => Prologue { query_scale: Some(QueryScale::LogKeys), key_norm: Some(RowNorm::LAYER), ..plain },
    }
}

fn with_epilogue(at: usize) -> Epilogue {
    let plain = Epilogue::default();
    let silu = Gate { activation: Activation::Silu, per_head: true };
    match at {
        0 => plain,
        1 => Epilogue { gate: Some(Gate::ELEMENT), ..plain },
        2 => Epilogue { gate: Some(silu), norm: Some(RowNorm::LAYER), gain: true, gate_last: true, ..plain },
        _ => Epilogue { affine: true, ..plain },
    }
}

fn with_mask(at: usize, op: Attention) -> Attention {
    let map = BlockMap { q: 16, kv: 17, per_batch: true, per_head: false };
    match at {
        0 => op,
        1 => Attention { chunk: Some(16), ..op },
        2 => Attention { prefix: Some(7), causal: Causal::BottomRight, ..op },
        3 => Attention { documents: true, ..op },
        4 => Attention { block_map: Some(map), ..op },
        _ => Attention { sink_tokens: Some(3), window: Window { left: Some(9), right: Some(4) }, ..op },
    }
}

fn with_bias(at: usize, op: Attention) -> Attention {
    match at {
        0 => op,
        1 => Attention { head_bias: true, alibi: true, ..op },
        2 => Attention { key_bias: true, softcap: Some(1.5), ..op },
        _ => Attention { score_bias: Some(ScoreBias { per_batch: true, per_head: false }), ..op },
    }
}

/// Rare options of weights and rows.
fn with_first(at: usize, op: Attention) -> Attention {
    let epilogue = |injection| Epilogue { injection: Some(injection), ..op.epilogue };
    match at {
        0 => op,
        1 => Attention { dropout: Some(Dropout::new(0.25, 77)), ..op },
        2 => Attention { epilogue: epilogue(Injection::EveryRow), ..op },
        3 => Attention { epilogue: epilogue(Injection::LastRow), ..op },
        4 => Attention { sink_key: true, ..op },
        5 => Attention { local_linear: true, ..op },
        6 => Attention { normalizer: Normalizer::GlobalFrobenius(1e-6), ..op },
        _ => Attention { o_core: !op.epilogue.is_none(), sink: true, ..op },
    }
}

/// Rare options of scores and storage.
fn with_second(at: usize, op: Attention) -> Attention {
    let prologue = op.prologue;
    match at {
        0 => op,
        1 => Attention { relative_bias: Some(RelativeBias { reach: 6 }), ..op },
        2 => Attention { key_bias: true, key_bias_per_head: true, ..op },
        3 => Attention { prologue: Prologue { query_penalty: Some(0.5), ..prologue }, ..op },
        4 => Attention { prologue: Prologue { feature_map: Some(FeatureMap::EluOne), ..prologue }, ..op },
        5 => Attention { storage: Storage::INT8_PER_TOKEN, ..op },
        _ => op.with_score_mod(near()).with_mask_mod(thirds()),
    }
}

fn spec(choice: Choice) -> Attention {
    let [first, second, mask, weight, prologue, epilogue, bias, causal, sequences, sizes, _, stored] = choice;
    let (seq_q, seq_kv, heads) = [(33, 33, (2, 2)), (20, 41, (3, 1)), (41, 20, (4, 2)), (1, 70, (4, 2))][sizes];
    let width = if stored == 2 { 10 } else { 8 };
    let dims = Dims { q_heads: heads.0, kv_heads: heads.1, seq_q, seq_kv, ..Dims::new(2, 1, 1, width) };
    let (weight, normalizer) = [
        (Weight::Softmax, Normalizer::None),
        (Weight::Sigmoid, Normalizer::None),
        (Weight::Softplus, Normalizer::RowSum),
        (Weight::ReluPower(2), Normalizer::Count),
        (Weight::ExpClamp(3.0), Normalizer::ClampedRowSum),
    ][weight];
    let packed = Sequences::Packed { total_q: (2 * seq_q).max(6) - 5, total_kv: 2 * seq_kv - 3 };
    let op = Attention {
        weight,
        normalizer,
        prologue: with_prologue(prologue),
        epilogue: with_epilogue(epilogue),
        causal: [Causal::None, Causal::TopLeft, Causal::BottomRight][causal],
        sequences: [
            Sequences::Dense,
            Sequences::Padded { q: true, kv: true },
            packed,
            Sequences::Paged { page: 16, pages: 13 },
        ][sequences],
        nan_policy: if stored == 2 { NanPolicy::Trust } else { NanPolicy::Exact },
        dtype: if stored == 1 { Dtype::F16 } else { Dtype::F32 },
        ..Attention::softmax(dims)
    };
    with_second(second, with_first(first, with_mask(mask, with_bias(bias, op))))
}

/// Whether a spec may be so, and its contents are what its slot says.
fn is_legal(choice: &Choice) -> bool {
    let op = spec(*choice);
    let planted = choice[10] > 1;
    op.validate().is_ok() && !(planted && op.nan_policy == NanPolicy::Trust)
}

/// The pairs of values in a choice, as slot, value, slot, value.
fn pairs(choice: &Choice) -> impl Iterator<Item = [usize; 4]> {
    let of = move |b: usize| (0..b).map(move |a| [a, choice[a], b, choice[b]]);
    (0..SLOTS.len()).flat_map(of)
}

/// Every value of a slot with every value of another.
fn every_pair() -> impl Iterator<Item = [usize; 4]> {
    let slots = (0..SLOTS.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
    slots.flat_map(|(a, b)| (0..SLOTS[a] * SLOTS[b]).map(move |n| [a, n / SLOTS[b], b, n % SLOTS[b]]))
}

/// Of many legal choices at random, each with a pair of values that has not met, the one that lets most pairs meet; and so on.
fn choices() -> &'static [Choice] {
    static ALL: OnceLock<Vec<Choice>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut left: Vec<_> = every_pair().collect();
        let mut rng = Rng::new(0, SALT);
        let mut all = Vec::new();
        for _ in 0..COUNT {
            let candidates = (0..TRIED).filter_map(|_| {
                let mut choice = SLOTS.map(|values| rng.below(values));
                let [a, x, b, y] = rng.pick(&left);
                (choice[a], choice[b]) = (x, y);
                is_legal(&choice).then_some(choice)
            });
            let met = |choice: &Choice| pairs(choice).filter(|pair| left.contains(pair)).count();
            let Some(mut best) = candidates.max_by_key(met) else { break };
            // better by a value at a time
            for slot in (0..SLOTS.len()).chain(0..SLOTS.len()) {
                let others = (0..SLOTS[slot]).map(|value| {
                    let mut other = best;
                    other[slot] = value;
                    other
                });
                let better = others.filter(is_legal).max_by_key(|other| (met(other), *other == best));
                best = better.unwrap_or(best);
            }
            let gone: BTreeSet<_> = pairs(&best).collect();
            left.retain(|pair| !gone.contains(pair));
            all.push(best);
        }
        all
    })
}

fn draw(choice: &Choice) -> Draw {
    let normal = Family::Normal(1.0);
    let (families, plant, words) = match choice[10] {
        0 => ([normal; 3], None, ""),
        1 => ([Family::Normal(4.0), normal, Family::Cancelling], None, ", q Normal(4), v Cancelling"),
        2 => ([normal; 3], Some(Plant::NanValue), ", NaN value"),
        _ => ([normal; 3], Some(Plant::NanKey), ", NaN key"),
    };
    let note = format!("rare options{words}; may be degenerate");
    Draw { families, plant, ..Draw::ordinary(spec(*choice).saving(choice[9] == 0), note) }
}

/// The cases.
pub(super) fn planned() -> impl Iterator<Item = Draw> {
    choices().iter().map(draw)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether some spec has both values.
    fn may_meet([a, x, b, y]: [usize; 4]) -> bool {
        (0..SLOTS[3] * SLOTS[5] * SLOTS[9]).any(|n| {
            let mut choice = [0; SLOTS.len()];
            (choice[3], choice[5], choice[9]) = (n % SLOTS[3], n / SLOTS[3] % SLOTS[5], n / SLOTS[3] / SLOTS[5]);
            (choice[a], choice[b]) = (x, y);
            is_legal(&choice)
        })
    }

    #[test]
    fn values_that_may_meet_do() {
        let all = choices();
        assert!(all.iter().all(is_legal));
        assert_eq!(all.len(), COUNT);
        let met: BTreeSet<_> = all.iter().flat_map(pairs).collect();
        let missing: Vec<_> = every_pair().filter(|&pair| !met.contains(&pair) && may_meet(pair)).collect();
        assert!(missing.is_empty(), "{} missing: {missing:?}", missing.len());
    }
}
