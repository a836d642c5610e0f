//! Dropout: the files that say which pairs count, and the members of `params` that they read.

use gatefold_core::Attention;
use gatefold_core::attention::Dropout;

use crate::source::wgsl;
use crate::{Param, Source};

const NONE: Source = wgsl!("attention/dropout/none.wgsl");
const COUNTER: Source = wgsl!("attention/dropout/counter.wgsl");
const SEED_FIXED: Source = wgsl!("attention/dropout/seed_fixed.wgsl");
const SEED_GIVEN: Source = wgsl!("attention/dropout/seed_given.wgsl");
const WEIGHTS: Source = wgsl!("attention/dropout/weights.wgsl");

/// The files of slot `dropout`; `forward`: in the kernel that has weights by the tile.
pub(super) fn files(a: &Attention, forward: bool) -> (Vec<Source>, &'static str) {
    let Some(dropout) = a.drops() else { return (vec![NONE], "") };
    let (seed, part) = if dropout.seed_input { (SEED_GIVEN, ".dropout_seed") } else { (SEED_FIXED, ".dropout") };
    let mut slots = vec![COUNTER, seed];
    slots.extend(forward.then_some(WEIGHTS));
    (slots, part)
}

/// The members of `params`: seed, threshold, factor.
pub(super) fn members(a: &Attention) -> [(&'static str, Param); 4] {
    let dropout = a.drops().unwrap_or(Dropout::new(0.0, 0));
    #[allow(clippy::cast_possible_truncation, reason = "the halves of the seed; rounding to f32 is meant")]
    let (low, high, scale) = (dropout.seed as u32, (dropout.seed >> 32) as u32, dropout.scale() as f32);
    [
        ("seed_low", Param::U32(low)),
        ("seed_high", Param::U32(high)),
        ("drop_below", Param::U32(dropout.threshold())),
        ("keep_scale", Param::F32(scale)),
    ]
}

#[cfg(test)]
mod tests {
    use gatefold_core::attention::Dims;
    use gatefold_core::{AttentionBackward, Dtype};

    use super::*;
    use crate::{Kernels, Limits, MatrixUnit, Plan};

    fn with(probability: f32, seed: u64) -> Attention {
        let dims = Dims::new(1, 2, 100, 32);
        Attention { dropout: Some(Dropout::new(probability, seed)), dtype: Dtype::F16, ..Attention::softmax(dims) }
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.steps.iter().map(|s| s.name.as_str()).collect()
    }

    #[test]
    fn one_pipeline_serves_every_seed() {
        let limits = Limits { f16: true, ..Limits::webgpu_default() };
        let plans = |p: f32, seed: u64| {
            let (a, limits) = (with(p, seed), &limits);
            [a.plan(limits).unwrap(), AttentionBackward::new(a).plan(limits).unwrap()]
        };
        let (first, other, none) = (plans(0.1, 1), plans(0.5, u64::MAX), plans(0.0, 1));
        for ((first, other), none) in first.iter().zip(&other).zip(&none) {
            assert_eq!(names(first), names(other));
            assert!(names(first).iter().any(|n| n.contains(".dropout.")));
            assert!(!names(none).iter().any(|n| n.contains("dropout")), "{:?}", names(none));
            assert_ne!(first.steps.last().map(|s| &s.dispatches), other.steps.last().map(|s| &s.dispatches));
        }
    }

    #[test]
    fn matrix_units_are_not_used() {
        let limits = Limits { f16: true, matrix: Some(MatrixUnit { edge: 16, lanes: 32 }), ..Limits::webgpu_default() };
        let of = |p: f32| with(p, 7).plan(&limits).unwrap();
        assert!(of(0.0).rounds_weights && !of(0.1).rounds_weights);
        assert!(of(0.1).reasons.iter().any(|r| r.starts_with("no matrix units: dropout")));
    }
}
