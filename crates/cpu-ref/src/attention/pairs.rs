//! Planned cases of every weight with every normaliser. The other slots are not nested inside: they are drawn along, so that any value of
//! one slot meets any value of any other in some case.

use std::collections::BTreeSet;

use gatefold_core::attention::{Bias, Causal, Dims, NanPolicy, Normalizer, ScoreBias, Sequences, Weight, Window};
use gatefold_core::{Attention, Dtype};

use super::draw::{Draw, Plant};
use crate::data::Family;

/// How many values each slot has: weight, normaliser, causal mask, window, sequences, sizes, contents, bias, whether the row's sum is
/// returned, and what makes other kernels.
const SLOTS: [usize; 10] = [Weight::FUNCTIONS.len(), Normalizer::ALL.len(), 3, 2, 3, 3, 5, 3, 2, 2];

/// How many cases there are.
pub(super) const COUNT: usize = SLOTS[0] * SLOTS[1];

/// Every value of the first slot with every one of the second; each further slot takes the value that meets most others for the first time.
pub(super) fn choices<const N: usize>(slots: [usize; N]) -> Vec<[usize; N]> {
    let mut met = BTreeSet::new();
    let mut all = Vec::new();
    for row in 0..slots[0] * slots[1] {
        let mut choice = [0; N];
        (choice[0], choice[1]) = (row / slots[1], row % slots[1]);
        for slot in 2..N {
            let fresh = |value: usize| (0..slot).filter(|&s| !met.contains(&(s, choice[s], slot, value))).count();
            // of equals, another one each time
            let order = (0..slots[slot]).map(|n| (row + n) % slots[slot]);
            choice[slot] = order.rev().max_by_key(|&value| fresh(value)).unwrap_or(0);
        }
        for slot in 1..N {
            met.extend((0..slot).map(|s| (s, choice[s], slot, choice[slot])));
        }
        all.push(choice);
    }
    all
}

/// Weight functions have kernels of two kinds, of plain scores in f32 and of all that can be done to scores in f16, in random cases too: a
/// text for every weight and every set of options would take a software driver hours.
pub(super) fn of_kind(op: Attention, other: bool) -> Attention {
    let width = |w: usize| match w {
        w if !other => w.next_multiple_of(4),
        w if w.is_multiple_of(4) => w - 1,
        w => w,
    };
    let dims = Dims { head_dim: width(op.dims.head_dim), val_dim: width(op.dims.val_dim), ..op.dims };
    Attention {
        dims,
        softcap: op.softcap.filter(|_| other),
        head_bias: other,
        key_bias: other,
        alibi: other,
        score_bias: op.score_bias.filter(|_| other),
        nan_policy: NanPolicy::Exact,
        dtype: if other { Dtype::F16 } else { Dtype::F32 },
        ..op
    }
}

fn draw(choice: [usize; SLOTS.len()]) -> Draw {
    let [weight, normalizer, causal, window, sequences, sizes, contents, bias, saves, kernels] = choice;
    let other = kernels == 1;
    let (seq_q, seq_kv, heads) = [(33, 33, (2, 2)), (20, 41, (3, 1)), (41, 20, (4, 2))][sizes];
    let dims =
        Dims { q_heads: heads.0, kv_heads: heads.1, seq_q, seq_kv, ..Dims::new(2, 1, 1, if other { 10 } else { 8 }) };
    let packed = Sequences::Packed { total_q: 2 * seq_q - 5, total_kv: 2 * seq_kv - 3 };
    let op = Attention {
        weight: Weight::FUNCTIONS[weight],
        normalizer: Normalizer::ALL[normalizer],
        causal: [Causal::None, Causal::TopLeft, Causal::BottomRight][causal],
        window: [Window::default(), Window { left: Some(12), right: Some(5) }][window],
        sequences: [Sequences::Dense, Sequences::Padded { q: true, kv: true }, packed][sequences],
        bias: [Bias::Const(0.0), Bias::Const(-1.5), Bias::NegLogKeys][bias],
        softcap: Some(1.5),
        score_bias: Some(ScoreBias { per_batch: false, per_head: true }),
        ..Attention::softmax(dims)
    };
    let op = of_kind(op, other).saving(saves == 1);
    let normal = Family::Normal(1.0);
    let (families, plant) = match contents {
        0 => ([normal; 3], None),
        1 => ([Family::Normal(4.0), normal, normal], None),
        2 => ([normal; 3], Some(Plant::NanValue)),
        3 => ([normal; 3], Some(if other { Plant::NanKey } else { Plant::InfiniteKey })),
        _ => ([normal, normal, Family::Cancelling], None),
    };
    let words = ["", ", q Normal(4)", ", NaN value", ", NaN or infinite key", ", v Cancelling"][contents];
    let note = format!("pairs of slots{words}; may be degenerate");
    Draw { families, plant, masked: if other { 15 } else { 0 }, ..Draw::ordinary(op, note) }
}

/// The cases.
pub(super) fn planned() -> impl Iterator<Item = Draw> {
    choices(SLOTS).into_iter().map(draw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_values_meets() {
        let all = choices(SLOTS);
        assert_eq!(all.len(), COUNT);
        for (a, b) in (0..SLOTS.len()).flat_map(|b| (0..b).map(move |a| (a, b))) {
            let met: BTreeSet<_> = all.iter().map(|c| (c[a], c[b])).collect();
            assert_eq!(met.len(), SLOTS[a] * SLOTS[b], "slots {a} and {b}");
        }
    }
}
