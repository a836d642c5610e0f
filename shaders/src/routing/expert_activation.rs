//! The plans of what stands between an expert's products and of its gradient: one step each.

use gatefold_core::routing::ExpertFunction;
use gatefold_core::{ExpertActivation, ExpertActivationBackward, Op};

use super::rows::{Numbers, RowGrid, access, check_dtype, file, step};
use crate::source::wgsl;
use crate::spans::check_bindings;
use crate::{Kernels, Limits, Plan, PlanError, Source};

/// Multiply-adds that a quad costs, its exponentials included.
const QUAD_WORK: f64 = 128.0;

/// The files of the slots `curve` and `factor`, and what the curves share.
pub(super) fn files(function: ExpertFunction) -> Vec<Source> {
    let (curve, factor) = match function {
        ExpertFunction::SwiGlu | ExpertFunction::Silu => {
            (wgsl!("routing/expert_activation/silu.wgsl"), wgsl!("routing/expert_activation/times.wgsl"))
        }
        ExpertFunction::GeGlu | ExpertFunction::Gelu => {
            (wgsl!("routing/expert_activation/gelu.wgsl"), wgsl!("routing/expert_activation/times.wgsl"))
        }
        ExpertFunction::Relu => {
            (wgsl!("routing/expert_activation/relu.wgsl"), wgsl!("routing/expert_activation/times.wgsl"))
        }
        ExpertFunction::ClampedSwiGlu { .. } => {
            let curve = wgsl!("routing/expert_activation/clamped_silu.wgsl");
            (curve, wgsl!("routing/expert_activation/clamped_times.wgsl"))
        }
    };
    vec![wgsl!("routing/expert_activation/curve.wgsl"), curve, factor]
}

/// Adds the step of a kernel on the rows of `op`: `beside` what it reads next to `h`, `out` what it writes.
fn add(
    plan: &mut Plan,
    op: &ExpertActivation,
    kernel: Source,
    beside: Option<&'static str>,
    out: &'static str,
    limits: &Limits,
) {
    if op.rows == 0 {
        plan.reasons.push("no rows: nothing to run".into());
        return;
    }
    let width = op.width;
    let grid = RowGrid::by_quad(op.rows, width, width.div_ceil(4), limits);
    let (limit, alpha) = match op.function {
        ExpertFunction::ClampedSwiGlu { limit, alpha } => (limit, alpha),
        _ => (0.0, 0.0),
    };
    let numbers = Numbers { limit, alpha, ..Numbers::of_list(1, 0) };
    let name = format!("{}.{}.{}.{}", plan.op, op.function.name(), op.dtype, access(width));
    let mut slots = vec![file("in", width), file("out", width)];
    slots.extend(beside.map(|_| file("beside", width)));
    slots.extend(files(op.function));
    let mut made = step(name, kernel, slots, op.dtype, grid.dispatches(QUAD_WORK, limits, numbers));
    made.consts.push(("HALVES", if op.function.is_gated() { 2 } else { 1 }));
    made.binds = vec![("rows_in", "h"), ("rows_out", out)];
    made.binds.extend(beside.map(|operand| ("rows_beside", operand)));
    made.trips = grid.own_quads();
    plan.steps.push(made);
}

impl Kernels for ExpertActivation {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        check_dtype(self.dtype, "h, y", limits)?;
        check_bindings(&self.operands(), limits)?;
        add(&mut plan, self, wgsl!("routing/expert_activation.wgsl"), None, "y", limits);
        Ok(plan)
    }
}

impl Kernels for ExpertActivationBackward {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        check_dtype(self.forward.dtype, "h, d_y, d_h", limits)?;
        check_bindings(&self.operands(), limits)?;
        let kernel = wgsl!("routing/expert_activation_backward.wgsl");
        add(&mut plan, &self.forward, kernel, Some("d_y"), "d_h", limits);
        Ok(plan)
    }
}
