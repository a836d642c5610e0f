//! The map that makes features of the elements of queries and keys.

use gatefold_core::Attention;
use gatefold_core::attention::{FeatureMap, RowNorm};

use crate::Real;

/// `φ(x)`, and `x` without a map.
pub(super) fn feature<R: Real>(map: Option<FeatureMap>, x: R) -> R {
    let (below, above) = (x.within(f64::NEG_INFINITY, 0.0), x.within(0.0, f64::INFINITY));
    match map {
        None => x,
        Some(FeatureMap::Relu) => above,
        Some(FeatureMap::EluOne) => below.exp() + above,
    }
}

/// `φ′(x)·g`: NaN stays NaN where the slope is 0.
pub(super) fn feature_gradient<R: Real>(map: Option<FeatureMap>, x: R, g: R) -> R {
    if g.value().is_nan() { g } else { feature_slope(map, x) * g }
}

/// `φ′(x)`: 0 at a kink and where there is no number.
fn feature_slope<R: Real>(map: Option<FeatureMap>, x: R) -> R {
    let one = R::from_f64(1.0);
    match map {
        None => one,
        Some(_) if x.value().is_nan() => R::from_f64(0.0),
        // a number that is not normal may count as 0
        Some(FeatureMap::Relu) => (x * one).step(),
        Some(FeatureMap::EluOne) => x.within(f64::NEG_INFINITY, 0.0).exp(),
    }
}

/// Whether the slope may jump within rounding of what it is taken at: the sign of a number of `x − mean` is not that of a number given.
pub(crate) fn jumps(op: &Attention) -> bool {
    let p = &op.prologue;
    let centred = [p.query_norm, p.key_norm].iter().any(|norm| matches!(norm, Some(RowNorm::Layer { .. })));
    p.feature_map == Some(FeatureMap::Relu) && centred
}
