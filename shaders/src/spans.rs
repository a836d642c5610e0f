//! Elements of a step shared out over dispatches, one an invocation.

use gatefold_core::Operand;

use crate::plan::narrow;
use crate::{Dispatch, Limits, Param, PlanError, fold_groups};

/// Invocations per workgroup of kernels that give each invocation an element.
pub(crate) const INVOCATIONS: u32 = 64;

/// Dispatches over `elements`, each short enough if an element costs `work` multiply-adds. Every one sets `first`, `end` and `group_count`, and
/// after them `params`.
pub(crate) fn dispatches(elements: u64, work: f64, limits: &Limits, params: &[(&'static str, Param)]) -> Vec<Dispatch> {
    let seconds = work / limits.mul_adds_per_second;
    let by_time = (limits.dispatch_seconds / seconds / f64::from(INVOCATIONS)).clamp(1.0, 1e9);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1 ..= 1e9")]
    let most_groups = (by_time as u64).min(u64::from(limits.groups_per_dim).pow(2));
    let step = most_groups * u64::from(INVOCATIONS);
    let dispatch = |first: u64| {
        let end = (first + step).min(elements);
        let groups = (end - first).div_ceil(INVOCATIONS.into());
        let own = [("first", first), ("end", end), ("group_count", groups)].map(|(n, x)| (n, Param::U32(narrow(x))));
        Dispatch {
            grid: fold_groups(groups, limits.groups_per_dim),
            params: own.into_iter().chain(params.iter().copied()).collect(),
            windows: Vec::new(),
        }
    };
    (0..elements.div_ceil(step)).map(|n| dispatch(n * step)).collect()
}

/// Refuses operands that a dispatch cannot bind in full.
pub(crate) fn check_bindings(operands: &[Operand], limits: &Limits) -> Result<(), PlanError> {
    match operands.iter().find(|o| o.bytes() > limits.binding_bytes) {
        None => Ok(()),
        Some(o) => Err(PlanError::TooLarge { operand: o.name.into(), need: o.bytes(), have: limits.binding_bytes }),
    }
}
