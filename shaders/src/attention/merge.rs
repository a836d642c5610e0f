//! The plan of a merge: one step, one element an invocation.

use gatefold_core::{AttentionMerge, Dtype, Op};

use crate::plan::{MINUS_INFINITY_BITS, NAN_BITS, narrow, wgsl_type};
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, check_bindings, dispatches};
use crate::{Kernels, Limits, Param, Plan, PlanError, Step};

/// Multiply-adds that a part of an element costs, its exponential included.
const PART_WORK: f64 = 24.0;

fn params(op: &AttentionMerge) -> Vec<(&'static str, Param)> {
    let count = |n: usize| Param::U32(narrow(n as u64));
    vec![
        ("parts", count(op.parts)),
        ("rows", count(op.rows)),
        ("val_dim", count(op.val_dim)),
        ("nan", Param::U32(NAN_BITS)),
        ("minus_infinity", Param::U32(MINUS_INFINITY_BITS)),
    ]
}

impl Kernels for AttentionMerge {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        if self.rows == 0 {
            plan.reasons.push("no rows: nothing to run".into());
            return Ok(plan);
        }
        if self.dtype == Dtype::F16 && !limits.f16 {
            return Err(PlanError::Feature { operand: "o_parts, o in f16".into(), feature: "shader-f16" });
        }
        check_bindings(&self.operands(), limits)?;
        let elements = self.rows as u64 * self.val_dim as u64;
        let work = PART_WORK * self.parts as f64;
        let passes = if self.lse { 3 } else { 1 };
        let join = if self.lse { wgsl!("attention/merge/by_lse.wgsl") } else { wgsl!("attention/merge/sum.wgsl") };
        plan.steps.push(Step {
            slots: vec![join],
            consts: vec![("INVOCATIONS", INVOCATIONS)],
            aliases: vec![("Elem", wgsl_type(self.dtype))],
            f16: self.dtype == Dtype::F16,
            trips: passes * self.parts as u64,
            ..Step::plain(
                format!("attention_merge.{}", self.label()),
                wgsl!("attention/merge.wgsl"),
                dispatches(elements, work, limits, &params(self)),
            )
        });
        Ok(plan)
    }
}
