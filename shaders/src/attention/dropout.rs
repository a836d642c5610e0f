//! Dropout: the files that say which pairs count, and the members of `params` that they read.

use gatefold_core::Attention;
use gatefold_core::attention::Dropout;

use crate::source::wgsl;
use crate::{Param, Source};

const NONE: Source = wgsl!("attention/dropout/none.wgsl");
const COUNTER: Source = wgsl!("attention/dropout/counter.wgsl");
const WEIGHTS: Source = wgsl!("attention/dropout/weights.wgsl");

/// The files of slot `dropout`; `forward`: in the kernel that has weights by the tile.
pub(super) fn files(a: &Attention, forward: bool) -> (Vec<Source>, &'static str) {
    match a.drops() {
        None => (vec![NONE], ""),
        Some(_) if forward => (vec![COUNTER, WEIGHTS], ".dropout"),
        Some(_) => (vec![COUNTER], ".dropout"),
    }
}

/// The members of `params`: seed, threshold, factor.
pub(super) fn members(a: &Attention) -> [(&'static str, Param); 4] {
    let dropout = a.drops().unwrap_or(Dropout { probability: 0.0, seed: 0 });
    #[allow(clippy::cast_possible_truncation, reason = "the halves of the seed; rounding to f32 is meant")]
    let (low, high, scale) = (dropout.seed as u32, (dropout.seed >> 32) as u32, dropout.scale() as f32);
    [
        ("seed_low", Param::U32(low)),
        ("seed_high", Param::U32(high)),
        ("drop_below", Param::U32(dropout.threshold())),
        ("keep_scale", Param::F32(scale)),
    ]
}
