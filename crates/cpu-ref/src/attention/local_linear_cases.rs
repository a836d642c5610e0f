//! Planned cases of local-linear attention: one set of kernels for most.

use gatefold_core::Attention;
use gatefold_core::attention::{
    Bias, Causal, Dims, Epilogue, Gate, NanPolicy, Prologue, RowNorm, ScoreBias, Sequences, Window,
};

use super::draw::{Draw, Plant};
use super::pairs::of_kind;
use crate::data::Family;

/// How many cases there are.
pub(super) const COUNT: usize = 20;

/// The cases.
pub(super) fn planned() -> impl Iterator<Item = Draw> {
    let all: Vec<Draw> = shapes().into_iter().chain(contents()).chain(options()).chain(few_queries()).collect();
    all.into_iter()
}

fn ordinary(op: Attention, what: &str) -> Draw {
    Draw::ordinary(op, format!("local-linear, {what}; may be degenerate"))
}

fn with(seq_q: usize, seq_kv: usize) -> Attention {
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q, seq_kv, ..Dims::new(2, 1, 1, 8) };
    Attention::parallax(dims).saving(true)
}

/// What a row sees, with the kernels of the preset.
fn shapes() -> Vec<Draw> {
    let causal = with(40, 40);
    // so many keys that they may take several dispatches, so many queries that they are not shared out; tiles inside
    let dims = Dims { seq_kv: 340, ..Dims::new(1, 1, 70, 8) };
    let cross = Attention { causal: Causal::None, ..Attention::parallax(dims).saving(true) };
    let window = Window { left: Some(7), right: Some(0) };
    let packed = Sequences::Packed { total_q: 71, total_kv: 68 };
    let padded = Sequences::Padded { q: true, kv: true };
    vec![
        ordinary(Attention { causal: Causal::TopLeft, ..with(33, 33) }, "causal"),
        ordinary(Attention { sequences: packed, ..causal.clone() }, "packed"),
        ordinary(Attention { sequences: padded, window, ..causal.clone() }, "padded, window"),
        Draw {
            plant: Some(Plant::Padding),
            ..ordinary(Attention { sequences: padded, ..causal }, "NaN in the padding")
        },
        ordinary(cross, "cross, many keys"),
        ordinary(with(5, 0), "no keys"),
        ordinary(Attention { scale: Some(-0.4), ..with(65, 1) }, "one key"),
    ]
}

fn contents() -> Vec<Draw> {
    let (op, normal) = (with(24, 24), Family::Normal(1.0));
    let planted = |plant| Draw { plant: Some(plant), ..ordinary(op.clone(), &format!("{plant:?}")) };
    // all keys have one product with a slope, which cancels
    let alike = Draw { families: [normal, Family::Equal, normal], ..ordinary(with(19, 70), "k Equal") };
    let sharp = Draw { families: [Family::Normal(4.0), normal, normal], ..ordinary(with(37, 70), "q Normal(4)") };
    let hidden = ordinary(Attention { causal: Causal::TopLeft, ..with(40, 40) }, "NanKey that a causal mask hides");
    vec![
        alike,
        sharp,
        planted(Plant::InfiniteSlope),
        planted(Plant::InfiniteKey),
        planted(Plant::NanQuery),
        Draw { plant: Some(Plant::InfiniteKey), ..ordinary(with(17, 33), "InfiniteKey, more keys") },
        Draw { plant: Some(Plant::NanKey), ..hidden },
    ]
}

/// All that can be done to scores, in f16 and in widths that are no multiples of 4; to rows before and after.
fn options() -> Vec<Draw> {
    let dims = Dims { val_dim: 21, ..with(29, 37).dims };
    let capped = Attention { dims, softcap: Some(1.5), bias: Bias::Const(-0.5), ..with(29, 37) };
    let other = Attention { score_bias: Some(ScoreBias::default()), ..capped };
    let prologue = Prologue { query_norm: Some(RowNorm::L2), key_norm: Some(RowNorm::L2), ..Prologue::default() };
    let epilogue = Epilogue { gate: Some(Gate::HEAD), ..Epilogue::default() };
    let dressed = Attention { prologue, epilogue, scale: Some(3.0), ..with(35, 26) };
    let dims = Dims { head_dim: 24, val_dim: 40, ..with(31, 31).dims };
    vec![
        Draw { masked: 20, ..ordinary(of_kind(other, true).saving(true), "all options, masked by -inf") },
        ordinary(dressed, "norms and a gate"),
        ordinary(Attention { dims, nan_policy: NanPolicy::Trust, ..with(31, 31) }, "widths 24 and 40, trust"),
    ]
}

/// Few queries of many heads, and of a cache.
fn few_queries() -> Vec<Draw> {
    let dims = Dims { q_heads: 4, kv_heads: 1, seq_q: 2, seq_kv: 90, ..Dims::new(1, 1, 1, 8) };
    let grouped = Attention::parallax(dims).saving(true);
    let dims = Dims { batch: 2, q_heads: 8, kv_heads: 2, seq_q: 3, ..dims };
    let cached = Attention { dims, ..grouped.clone() };
    let sequences = Sequences::Paged { page: 7, pages: 27 };
    vec![
        ordinary(grouped.clone(), "few queries"),
        ordinary(Attention { lse: false, ..grouped }, "few queries, nothing saved"),
        ordinary(Attention { sequences, ..cached }, "few queries, paged"),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::cases::assert_telling;
    use super::*;

    #[test]
    fn the_bounds_say_something() {
        // keys that are all alike have no slope
        assert_telling("local-linear", COUNT, &["no keys", "one key", "padded", "k Equal"]);
    }
}
