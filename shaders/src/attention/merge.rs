//! The plan of a merge: one step, one element an invocation.

use gatefold_core::{AttentionMerge, Dtype, Op};

use crate::plan::{MINUS_INFINITY_BITS, NAN_BITS, narrow, wgsl_type};
use crate::source::wgsl;
use crate::{Dispatch, Kernels, Limits, Param, Plan, PlanError, Step, fold_groups};

/// Invocations per workgroup.
const INVOCATIONS: u32 = 64;
/// Multiply-adds that a part of an element costs, its exponential included.
const PART_WORK: f64 = 24.0;

fn dispatches(op: &AttentionMerge, limits: &Limits) -> Vec<Dispatch> {
    let count = |n: u64| Param::U32(narrow(n));
    let elements = op.rows as u64 * op.val_dim as u64;
    let seconds = PART_WORK * op.parts as f64 / limits.mul_adds_per_second;
    let by_time = (limits.dispatch_seconds / seconds / f64::from(INVOCATIONS)).clamp(1.0, 1e9);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1 ..= 1e9")]
    let most_groups = (by_time as u64).min(u64::from(limits.groups_per_dim).pow(2));
    let step = most_groups * u64::from(INVOCATIONS);
    let dispatch = |first: u64| {
        let end = (first + step).min(elements);
        let groups = (end - first).div_ceil(INVOCATIONS.into());
        let params = vec![
            ("first", count(first)),
            ("end", count(end)),
            ("group_count", count(groups)),
            ("parts", count(op.parts as u64)),
            ("rows", count(op.rows as u64)),
            ("val_dim", count(op.val_dim as u64)),
            ("nan", Param::U32(NAN_BITS)),
            ("minus_infinity", Param::U32(MINUS_INFINITY_BITS)),
        ];
        Dispatch { grid: fold_groups(groups, limits.groups_per_dim), params, windows: Vec::new() }
    };
    (0..elements.div_ceil(step)).map(|n| dispatch(n * step)).collect()
}

impl Kernels for AttentionMerge {
    fn plan(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        if self.rows == 0 {
            plan.reasons.push("no rows: nothing to run".into());
            return Ok(plan);
        }
        if self.dtype == Dtype::F16 && !limits.f16 {
            return Err(PlanError::Feature { operand: "o_parts, o in f16".into(), feature: "shader-f16" });
        }
        for o in self.operands() {
            if o.bytes() > limits.binding_bytes {
                return Err(PlanError::TooLarge {
                    operand: o.name.into(),
                    need: o.bytes(),
                    have: limits.binding_bytes,
                });
            }
        }
        let passes = if self.lse { 3 } else { 1 };
        let join = if self.lse { wgsl!("attention/merge/by_lse.wgsl") } else { wgsl!("attention/merge/sum.wgsl") };
        plan.steps.push(Step {
            name: format!("attention_merge.{}", self.label()),
            kernel: wgsl!("attention/merge.wgsl"),
            slots: vec![join],
            consts: vec![("INVOCATIONS", INVOCATIONS)],
            aliases: vec![("Elem", wgsl_type(self.dtype))],
            f16: self.dtype == Dtype::F16,
            subgroups: false,
            matrix: false,
            binds: Vec::new(),
            dispatches: dispatches(self, limits),
            trips: passes * self.parts as u64,
            proven: true,
            loops: Vec::new(),
        });
        Ok(plan)
    }
}
