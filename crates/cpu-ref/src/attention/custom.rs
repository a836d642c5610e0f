//! A user's own slots, by their functions over f64.

use gatefold_core::attention::{CustomWeight, ScoreMod};
use gatefold_core::{Attention, SpecError};

use super::score::SATURATION;
use crate::Real;

/// Whether every custom slot has its Rust function: closures are not serialised.
pub(crate) fn check_rust(op: &Attention) -> Result<(), SpecError> {
    let c = &op.custom;
    let lacking = |option, name: &str| Err(SpecError::NoReference { option, name: name.into() });
    match (&c.weight, &c.score_mod, &c.mask_mod) {
        (Some(w), _, _) if w.function.rust().is_none() => lacking("custom.weight", &w.name),
        (Some(w), _, _) if w.slope.as_ref().is_some_and(|s| s.rust().is_none()) => lacking("custom.weight", &w.name),
        (_, Some(m), _) if m.function.rust().is_none() => lacking("custom.score_mod", &m.name),
        (_, Some(m), _) if m.slope.as_ref().is_some_and(|s| s.rust().is_none()) => lacking("custom.score_mod", &m.name),
        (_, _, Some(m)) if m.function.rust().is_none() => lacking("custom.mask_mod", &m.name),
        _ => Ok(()),
    }
}

const UNCHECKED: &str = "custom slots have been checked by check_reference";

fn custom_weight(op: &Attention) -> &CustomWeight {
    op.custom.weight.as_ref().expect("the spec has been validated")
}

/// `φ(z)`.
pub(super) fn weight<R: Real>(op: &Attention, z: R) -> R {
    let w = custom_weight(op);
    let f = w.function.rust().expect(UNCHECKED);
    let slope = w.slope.as_ref().and_then(|s| s.rust());
    z.apply(&|z| f(z), slope.map(|s| s as &dyn Fn(f64) -> f64), w.ulps.into())
}

/// `φ′(z)`.
pub(super) fn weight_slope<R: Real>(op: &Attention, z: R) -> R {
    let w = custom_weight(op);
    let slope = w.slope.as_ref().and_then(|s| s.rust()).expect(UNCHECKED);
    z.apply(&|z| slope(z), None, w.ulps.into())
}

/// Batch entry, query head, query and key, as functions take them.
fn narrow(place: [usize; 4]) -> [u32; 4] {
    place.map(|n| u32::try_from(n).expect("sizes fit u32"))
}

/// The modified score, and the derivative of all up to it from that of the cap; the same numbers without a modifier.
pub(super) fn score_mod<R: Real>(op: &Attention, score: R, slope: R, place: [usize; 4]) -> (R, R) {
    let Some(ScoreMod { function, slope: derivative, ulps, .. }) = &op.custom.score_mod else {
        return (score, slope);
    };
    let ([b, h, i, j], f) = (narrow(place), function.rust().expect(UNCHECKED));
    let score = score.clamp(SATURATION);
    let Some(derivative) = derivative.as_ref().and_then(|d| d.rust()) else {
        return (score.apply(&|s| f(s, b, h, i, j), None, (*ulps).into()), slope);
    };
    let of_score = |s| derivative(s, b, h, i, j);
    let steepness = score.apply(&of_score, None, (*ulps).into());
    (score.apply(&|s| f(s, b, h, i, j), Some(&of_score), (*ulps).into()), slope * steepness)
}

/// Whether the user's mask lets the pair be seen.
pub(super) fn sees(op: &Attention, place: [usize; 4]) -> bool {
    op.custom.mask_mod.as_ref().is_none_or(|m| {
        let [b, h, i, j] = narrow(place);
        m.function.rust().expect(UNCHECKED)(b, h, i, j)
    })
}
