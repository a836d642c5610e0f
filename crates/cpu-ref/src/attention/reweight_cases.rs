//! Planned cases of re-weighted weights. Rows near evenness stay out: whether they are re-weighted is then a matter of rounding.

use gatefold_core::Attention;
use gatefold_core::attention::{
    Bias, Causal, Dims, Dropout, Normalizer, Prologue, Reweight, Sequences, Storage, Weight, Window,
};

use super::draw::{Draw, Plant};
use super::pairs::of_kind;
use crate::data::Family;

/// How many cases there are.
pub(super) const COUNT: usize = 15;

/// The cases.
pub(super) fn planned() -> impl Iterator<Item = Draw> {
    let all: Vec<Draw> = long_powers().into_iter().chain(other_weights()).chain(few_queries()).collect();
    all.into_iter()
}

fn note(what: &str) -> String {
    format!("re-weighted, {what}; may be degenerate")
}

/// LSSAR with power 15: one kernel, every shape of what a row sees.
fn long_powers() -> Vec<Draw> {
    let dims = |seq_q, seq_kv| Dims { q_heads: 4, kv_heads: 2, seq_q, seq_kv, ..Dims::new(1, 1, 1, 8) };
    let with = |seq_q, seq_kv| {
        let spec = Attention::lssar(dims(seq_q, seq_kv)).saving(true);
        Attention { reweight: Some(Reweight { power: 15, ..Reweight::LSSAR }), ..spec }
    };
    let causal = with(33, 33);
    let two = Attention { dims: Dims { batch: 2, seq_q: 24, seq_kv: 24, ..causal.dims }, ..causal.clone() };
    let packed = Sequences::Packed { total_q: 41, total_kv: 40 };
    let padded = Sequences::Padded { q: true, kv: true };
    // so many keys that they may take several dispatches
    let cross = |seq_kv| Attention { causal: Causal::None, ..with(20, seq_kv) };
    let free = Reweight { power: 15, offset: 0.5, offset_rows: 7 };
    let plain = |op: &Attention, what: &str| Draw::ordinary(op.clone(), note(what));
    vec![
        plain(&causal, "causal"),
        plain(&Attention { causal: Causal::TopLeft, reweight: Some(free), ..with(20, 41) }, "half an offset"),
        plain(&Attention { sequences: packed, ..two.clone() }, "packed"),
        plain(&Attention { sequences: padded, window: Window { left: Some(9), right: None }, ..two }, "padded"),
        plain(&cross(200), "cross"),
        plain(&cross(340), "cross, many keys"),
        Draw { plant: Some(Plant::NanKey), ..plain(&causal, "NanKey") },
        Draw { families: [Family::Zero, Family::Normal(1.0), Family::Normal(1.0)], ..plain(&causal, "q Zero") },
        plain(&with(5, 0), "no keys"),
    ]
}

/// Other weights, with all that can be done to scores: what is hidden inside the range of keys does not count.
fn other_weights() -> Vec<Draw> {
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q: 17, seq_kv: 29, ..Dims::new(2, 1, 1, 10) };
    let with = |weight, power, other: bool| {
        let reweight = Some(Reweight { power, ..Reweight::LSSAR });
        let (softcap, bias) = (Some(1.5), Bias::Const(-0.5));
        let op =
            Attention { weight, normalizer: Normalizer::RowSum, reweight, softcap, bias, ..Attention::softmax(dims) };
        of_kind(op, other).saving(true)
    };
    let hidden = Attention { sequences: Sequences::Padded { q: false, kv: true }, ..with(Weight::Sigmoid, 1, true) };
    let dropout = Some(Dropout::new(0.25, 7));
    let relu = Attention { causal: Causal::BottomRight, dropout, ..with(Weight::Relu, 2, false) };
    let even = Attention { scale: Some(0.0), ..with(Weight::EluOne, 2, false) };
    vec![
        Draw { masked: 20, ..Draw::ordinary(with(Weight::Sigmoid, 1, true), note("masked by -inf")) },
        Draw { masked: 20, ..Draw::ordinary(hidden, note("padded, masked by -inf")) },
        Draw::ordinary(relu, note("relu and dropout")),
        Draw::ordinary(even, note("all even")),
    ]
}

/// Few queries of many heads, and of a cache.
fn few_queries() -> Vec<Draw> {
    let dims = Dims { q_heads: 8, kv_heads: 2, seq_q: 2, seq_kv: 90, ..Dims::new(2, 1, 1, 8) };
    let grouped = Attention::lssar(dims);
    let sequences = Sequences::Paged { page: 7, pages: 27 };
    let storage = Storage::INT8_PER_TOKEN;
    let cached = Attention { sequences, storage, prologue: Prologue::default(), ..grouped.clone() }.saving(true);
    vec![
        Draw::ordinary(grouped.saving(true), note("few queries")),
        Draw::ordinary(cached, note("few queries, paged in int8")),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::cases::assert_telling;
    use super::*;

    /// Neither kinks nor cancellation nor rows that are nearly even leave the cases without evidence.
    #[test]
    fn the_bounds_say_something() {
        // lengths are drawn, and may be next to nothing
        assert_telling("re-weighted", COUNT, &["Zero", "no keys", "padded"]);
    }
}
