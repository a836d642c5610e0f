//! Elements of a step shared out over dispatches, one an invocation.

use gatefold_core::Operand;

use crate::plan::{check_dispatches, narrow, starts};
use crate::{Dispatch, Limits, Param, Plan, PlanError, Step, fold_groups};

/// Invocations per workgroup of kernels that give each invocation an element.
pub(crate) const INVOCATIONS: u32 = 64;
/// Storage buffers that no kernel has more of: WebGPU's own default.
const STORAGE_BUFFERS: u64 = 8;

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
    starts(elements, step).map(dispatch).collect()
}

/// Refuses operands that a dispatch cannot bind in full.
pub(crate) fn check_bindings(operands: &[Operand], limits: &Limits) -> Result<(), PlanError> {
    match operands.iter().find(|o| o.bytes() > limits.binding_bytes) {
        None => Ok(()),
        Some(o) => Err(PlanError::TooLarge { operand: o.name.into(), need: o.bytes(), have: limits.binding_bytes }),
    }
}

/// Refuses steps whose loops are longer or whose grids are wider than the adapter allows, or that are cut into more dispatches than a plan may hold.
fn check_steps(steps: &[Step], limits: &Limits) -> Result<(), PlanError> {
    for s in steps {
        check_dispatches(s.dispatches.len() as u64)?;
        if s.trips > limits.loop_trips {
            let (kernel, need, have) = (s.name.clone(), s.trips, limits.loop_trips);
            return Err(PlanError::Limit { kernel, limit: "loop trips", need, have });
        }
        let widest = s.dispatches.iter().flat_map(|d| d.grid).max().unwrap_or(0);
        if widest > limits.groups_per_dim {
            let (kernel, need, have) = (s.name.clone(), widest.into(), limits.groups_per_dim.into());
            return Err(PlanError::Limit { kernel, limit: "workgroups per dimension", need, have });
        }
    }
    Ok(())
}

/// Refuses steps whose texts declare more storage buffers than a stage may have, where that are fewer than WebGPU's 8.
fn check_buffers(steps: &[Step], limits: &Limits) -> Result<(), PlanError> {
    let have = u64::from(limits.storage_buffers);
    if have >= STORAGE_BUFFERS {
        return Ok(());
    }
    for s in steps {
        let files = std::iter::once(&s.kernel).chain(&s.slots);
        let need = files.map(|f| f.text.matches("var<storage").count() as u64).sum();
        if need > have {
            return Err(PlanError::Limit { kernel: s.name.clone(), limit: "storage buffers", need, have });
        }
    }
    Ok(())
}

/// A plan that is complete, if the adapter can run its steps and hold its scratch: bindings may be windows, a buffer is whole.
pub(crate) fn finished(plan: Plan, limits: &Limits) -> Result<Plan, PlanError> {
    check_steps(&plan.steps, limits)?;
    check_buffers(&plan.steps, limits)?;
    match plan.scratch.iter().find(|s| s.bytes > limits.buffer_bytes) {
        None => Ok(plan),
        Some(s) => Err(PlanError::TooLarge { operand: s.name.into(), need: s.bytes, have: limits.buffer_bytes }),
    }
}
