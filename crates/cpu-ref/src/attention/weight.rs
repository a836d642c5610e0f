//! The weights that are functions of their own score, and what a row of them is divided by.

use gatefold_core::Attention;
use gatefold_core::attention::{Normalizer, Weight};

use super::custom;
use super::score::{SATURATION, host_constant};
use crate::Real;

/// `σ(z) = 1/(1 + exp(−z))`, so written that no exponential overflows.
pub(super) fn sigmoid<R: Real>(z: R) -> R {
    let one = R::from_f64(1.0);
    let e = (-z.abs()).exp();
    // 2u more: a kernel may multiply by the reciprocal
    if z.value() < 0.0 { (e / (one + e)).charge(2.0) } else { one / (one + e) }
}

/// `zᵖ`.
pub(super) fn power<R: Real>(z: R, p: u32) -> R {
    (0..p).fold(R::from_f64(1.0), |product, n| if n == 0 { z } else { product * z })
}

/// `Σ_{n ≤ degree} zⁿ/n!`. A kernel takes Horner's form: as many products with `z` and with a reciprocal.
fn taylor<R: Real>(z: R, degree: u32) -> R {
    let one = R::from_f64(1.0);
    let term = |last: &mut R, n: u32| {
        *last = *last * z / R::from_f64(f64::from(n));
        Some(*last)
    };
    R::sum(std::iter::once(one).chain((1..=degree).scan(one, term)))
}

const BELOW: (f64, f64) = (f64::NEG_INFINITY, 0.0);
const ABOVE: (f64, f64) = (0.0, f64::INFINITY);

/// `φ(z)` of the op's weight.
///
/// # Panics
/// For softmax, whose weights depend on each other.
pub(crate) fn weight<R: Real>(op: &Attention, z: R) -> R {
    let (one, below, above) = (R::from_f64(1.0), z.within(BELOW.0, BELOW.1), z.within(ABOVE.0, ABOVE.1));
    match op.weight {
        Weight::Softmax => unreachable!("softmax is not a function of one score"),
        Weight::Sigmoid => sigmoid(z),
        Weight::Softplus => above + (-z.abs()).exp().ln_1p(),
        Weight::Relu => above,
        Weight::ReluPower(p) => power(above, p),
        Weight::EluOne => below.exp() + above,
        Weight::Identity => z,
        Weight::Taylor(degree) => taylor(z, degree),
        Weight::ExpClamp(most) => z.within(f64::NEG_INFINITY, most.into()).exp(),
        Weight::StableMax => one / (one - below) + above,
        Weight::Custom => custom::weight(op, z),
    }
}

/// `φ′(z)` of the op's weight: 0 at a kink of relu, `exp c` where an exponential is clamped at `c`.
///
/// # Panics
/// For softmax.
pub(crate) fn weight_slope<R: Real>(op: &Attention, z: R) -> R {
    let (one, below, above) = (R::from_f64(1.0), z.within(BELOW.0, BELOW.1), z.within(ABOVE.0, ABOVE.1));
    match op.weight {
        Weight::Softmax => unreachable!("softmax is not a function of one score"),
        Weight::Sigmoid => sigmoid(z) * (one - sigmoid(z)),
        Weight::Softplus => sigmoid(z),
        Weight::Relu => z.step(),
        Weight::ReluPower(1) => z.step(),
        Weight::ReluPower(p) => power(above, p - 1) * R::from_f64(p.into()),
        Weight::EluOne => below.exp(),
        Weight::Identity => one,
        Weight::Taylor(degree) => taylor(z, degree - 1),
        Weight::ExpClamp(most) => {
            let most = f64::from(most);
            z.within(f64::NEG_INFINITY, most).exp() * (one - (z - R::from_f64(most)).step())
        }
        Weight::StableMax => {
            let share = one / (one - below);
            share * share
        }
        Weight::Custom => custom::weight_slope(op, z),
    }
}

/// The weight of an infinite score that has one: exact where it is 0 or 1.
pub(crate) fn weight_at_infinity<R: Real>(op: &Attention, sign: f64) -> R {
    let saturated = weight(op, R::from_f64(sign * SATURATION));
    if matches!(saturated.value(), 0.0 | 1.0) { R::from_f64(saturated.value()) } else { saturated }
}

/// Whether no weight is known to be negative, so that a row that is divided by its sum, or by more, stays within its values.
pub(crate) fn keeps_hull(op: &Attention) -> bool {
    let signed = matches!(op.weight, Weight::Identity | Weight::Custom);
    !signed && op.normalizer.couples_row() && op.normalizer.of_head().is_none()
}

/// What a row's normaliser is formed from: the sum of its weights or of their squares, or how many there are.
pub(crate) fn row_sum<R: Real>(normalizer: Normalizer, weights: &[R], seen: usize) -> R {
    match normalizer {
        Normalizer::Count | Normalizer::RootCount | Normalizer::CountPower(_) => R::from_f64(seen as f64),
        Normalizer::GlobalFrobenius(_) => R::dot(weights, weights),
        _ => R::sum(weights.iter().copied()),
    }
}

/// `1/n` of a row, from [`row_sum`] or from its input `log_norm`.
pub(crate) fn row_share<R: Real>(normalizer: Normalizer, sum: R, log_norm: Option<R>) -> R {
    let one = R::from_f64(1.0);
    let sum = match normalizer {
        Normalizer::DetachedRowSum | Normalizer::DetachedClampedRowSum => sum.detached(),
        _ => sum,
    };
    match normalizer {
        Normalizer::None | Normalizer::GlobalFrobenius(_) => one,
        Normalizer::RowSum | Normalizer::DetachedRowSum | Normalizer::Count => sum.share(),
        Normalizer::ClampedRowSum | Normalizer::DetachedClampedRowSum => sum.abs().within(1.0, f64::INFINITY).share(),
        Normalizer::RootCount | Normalizer::CountPower(_) if sum.value() == 0.0 => R::from_f64(0.0),
        // an inverse root is good to 2 ULP
        Normalizer::RootCount => R::from_f64(sum.value().sqrt().recip()).charge(4.0),
        Normalizer::CountPower(power) => (R::from_f64(-f64::from(power)) * host_constant(sum.value().ln())).exp(),
        Normalizer::LearnedExp => log_norm.map_or(one, |n| (-n).exp()),
    }
}

/// What `d_o·v` is lessened by, from the row's sum and `delta = d_o·o`.
pub(crate) fn row_correction<R: Real>(normalizer: Normalizer, sum: R, delta: R) -> R {
    match normalizer {
        Normalizer::RowSum => delta,
        Normalizer::ClampedRowSum if sum.value() > 1.0 => delta,
        Normalizer::ClampedRowSum if sum.value() < -1.0 => -delta,
        _ => R::from_f64(0.0),
    }
}
