//! Elements of a step shared out over dispatches, one an invocation.

use gatefold_core::Operand;

use crate::plan::{check_dispatches, narrow};
use crate::{Dispatch, Limits, Param, Plan, PlanError, Step, fold_groups};

/// Invocations per workgroup of kernels that give each invocation an element.
pub(crate) const INVOCATIONS: u32 = 64;

/// Dispatches over `elements`, each short enough if an element costs `work` multiply-adds. Every one sets `first`, `end` and `group_count`, and
/// after them `params`.
pub(crate) fn dispatches(elements: u64, work: f64, limits: &Limits, params: &[(&'static str, Param)]) -> Vec<Dispatch> {
    let most_groups = limits.units_in_time(work * f64::from(INVOCATIONS)).min(u64::from(limits.groups_per_dim).pow(2));
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

/// Refuses steps whose loops are longer than the adapter allows, or that are cut into more dispatches than a plan may hold.
pub(crate) fn check_steps(steps: &[Step], limits: &Limits) -> Result<(), PlanError> {
    for s in steps {
        check_dispatches(s.dispatches.len() as u64)?;
        if s.trips > limits.loop_trips {
            let (kernel, need, have) = (s.name.clone(), s.trips, limits.loop_trips);
            return Err(PlanError::Limit { kernel, limit: "loop trips", need, have });
        }
    }
    Ok(())
}

/// A plan that is complete, if the adapter can run its steps and hold its scratch: bindings may be windows, a buffer is whole.
pub(crate) fn finished(plan: Plan, limits: &Limits) -> Result<Plan, PlanError> {
    check_steps(&plan.steps, limits)?;
    match plan.scratch.iter().find(|s| s.bytes > limits.buffer_bytes) {
        None => Ok(plan),
        Some(s) => Err(PlanError::TooLarge { operand: s.name.into(), need: s.bytes, have: limits.buffer_bytes }),
    }
}
