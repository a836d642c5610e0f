//! Planned cases of custom slots: few texts, since each is a kernel to compile, in every layout.

use gatefold_core::attention::{
    Bias, Causal, CustomWeight, Dims, MaskMod, Normalizer, ScoreBias, ScoreMod, Sequences, Weight, Window,
};
use gatefold_core::{Attention, Dtype};

use super::draw::{Draw, Plant};

/// How many cases there are.
pub(super) const COUNT: usize = 9;

/// Scores bent towards a limit, and less for keys that are far; how much of both, and so the slope, is another for each batch entry, head, query and
/// key.
pub(super) fn near() -> ScoreMod {
    let text = "fn bend(batch: u32, head: u32, i: u32, j: u32) -> f32 {
    return 0.125 * f32(1u + (head + 2u * batch + i + 3u * j) % 4u);
}
fn steps_away(i: u32, j: u32) -> f32 { return abs(f32(i) - f32(j)); }
fn score_mod(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32 {
    return score / (1.0 + bend(batch, head, i, j) * abs(score)) - 0.0625 * f32(head + 1u) * steps_away(i, j) + 0.25 * f32(batch);
}";
    let slope = "fn score_mod_slope(score: f32, batch: u32, head: u32, i: u32, j: u32) -> f32 {
    let bent = 1.0 + bend(batch, head, i, j) * abs(score);
    return 1.0 / (bent * bent);
}";
    fn bend(b: u32, h: u32, i: u32, j: u32) -> f64 {
        0.125 * f64::from(1 + (h + 2 * b + i + 3 * j) % 4)
    }
    let near = |s: f64, b: u32, h: u32, i: u32, j: u32| {
        s / (1.0 + bend(b, h, i, j) * s.abs()) - 0.0625 * f64::from(h + 1) * f64::from(i.abs_diff(j))
            + 0.25 * f64::from(b)
    };
    ScoreMod::custom("near", text, near).with_slope(slope, |s, b, h, i, j| (1.0 + bend(b, h, i, j) * s.abs()).powi(-2))
}

/// Keys of the query's own document of 16, and every seventh, which one by head and batch entry.
fn documents() -> MaskMod {
    let text = "fn mask_mod(batch: u32, head: u32, i: u32, j: u32) -> bool {
    return (i / 16u == j / 16u) | (j % 7u == (head + 2u * batch) % 7u);
}";
    MaskMod::custom("documents", text, |b, h, i, j| i / 16 == j / 16 || j % 7 == (h + 2 * b) % 7)
}

/// `1/(1 + z²)`.
fn bump() -> CustomWeight {
    let text = "fn bump(z: f32) -> f32 { return 1.0 / (1.0 + z * z); }
fn phi(z: f32) -> f32 { return bump(z); }";
    let slope = "fn phi_slope(z: f32) -> f32 { return -2.0 * z * bump(z) * bump(z); }";
    Weight::custom("bump", text, |z| 1.0 / (1.0 + z * z)).with_slope(slope, |z| -2.0 * z / (1.0 + z * z).powi(2))
}

/// The cases.
pub(super) fn planned() -> Vec<Draw> {
    let softmax = |dims| Attention::softmax(dims).saving(true).with_score_mod(near()).with_mask_mod(documents());
    let dims = |heads: (usize, usize), seq_q, seq_kv| Dims {
        q_heads: heads.0,
        kv_heads: heads.1,
        seq_q,
        seq_kv,
        ..Dims::new(2, 1, 1, 8)
    };
    let plain = softmax(dims((2, 2), 33, 45));
    let window = Window { left: Some(20), right: Some(9) };
    let packed = Sequences::Packed { total_q: 61, total_kv: 79 };
    let paged = Sequences::Paged { page: 16, pages: 41 };
    let weighed = Attention { normalizer: Normalizer::RowSum, ..Attention::softmax(dims((2, 2), 40, 33)) };
    let all = Attention {
        softcap: Some(1.5),
        head_bias: true,
        key_bias: true,
        alibi: true,
        score_bias: Some(ScoreBias { per_batch: false, per_head: true }),
        normalizer: Normalizer::Count,
        bias: Bias::Const(-0.5),
        sequences: Sequences::Padded { q: true, kv: true },
        dtype: Dtype::F16,
        ..softmax(Dims { head_dim: 6, val_dim: 6, ..dims((4, 2), 25, 31) }).saving(false)
    };
    let ordinary = |op, what: &str| Draw::ordinary(op, format!("custom {what}; may be degenerate"));
    let of_window = Attention { window, ..softmax(dims((4, 2), 45, 45)) };
    let of_cache = Attention { sequences: paged, causal: Causal::BottomRight, ..softmax(dims((8, 2), 1, 300)) };
    // no mask of its own, so that some tiles are wholly seen; the last of them by some queries only
    let of_few = Attention::softmax(dims((4, 2), 9, 70)).saving(true).with_score_mod(near());
    vec![
        ordinary(Attention { causal: Causal::BottomRight, ..plain.clone() }, "causal"),
        ordinary(of_window, "window"),
        ordinary(Attention { sequences: packed, ..plain.clone() }, "packed"),
        ordinary(of_cache, "paged, one query"),
        Draw { plant: Some(Plant::NanValue), ..ordinary(plain, "NaN value") },
        ordinary(weighed.with_weight(bump()).saving(true), "weight"),
        Draw { masked: 15, ..ordinary(all.clone().with_weight(bump()).saving(true), "all") },
        Draw { plant: Some(Plant::NanKey), ..ordinary(all.with_weight(bump()), "all, NaN key") },
        ordinary(Attention { causal: Causal::BottomRight, ..of_few }, "few queries"),
    ]
}
