//! The plan of a rotary embedding: one step, a pair or an element that passes through an invocation.

use gatefold_core::attention::{RotaryPairs, RotaryPositions, RowLayout};
use gatefold_core::{Dtype, Op, RotaryEmbedding};

use crate::plan::{NAN_BITS, narrow, wgsl_type};
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, check_bindings, dispatches};
use crate::{Kernels, Limits, Param, Plan, PlanError, Step};

/// Multiply-adds that a pair costs, its index included.
const PAIR_WORK: f64 = 24.0;

fn params(op: &RotaryEmbedding) -> Vec<(&'static str, Param)> {
    let half = op.rotary_dim / 2;
    let tokens_first = op.layout == RowLayout::TokensFirst;
    let (step, gap) = if op.pairs == RotaryPairs::Half { (1, half) } else { (2, 1) };
    let every_token = op.positions == RotaryPositions::Tokens;
    let sizes = [
        ("slots", half + op.head_dim - op.rotary_dim),
        ("pairs", half),
        ("pair_step", step),
        ("pair_gap", gap),
        ("head_dim", op.head_dim),
        ("batch_rows", op.heads * op.seq),
        ("inner", if tokens_first { op.heads } else { op.seq }),
        ("last_position", op.max_position - 1),
        ("positions_batch", if every_token { op.seq } else { 1 }),
        ("positions_token", usize::from(every_token)),
        ("token_step", usize::from(!every_token)),
        ("tokens_first", usize::from(tokens_first)),
    ];
    let mut all: Vec<_> = sizes.into_iter().map(|(name, n)| (name, Param::U32(narrow(n as u64)))).collect();
    all.push(("direction", Param::F32(if op.inverse { -1.0 } else { 1.0 })));
    all.push(("nan", Param::U32(NAN_BITS)));
    all
}

impl Kernels for RotaryEmbedding {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        let rows = self.batch as u64 * self.heads as u64 * self.seq as u64;
        if rows == 0 {
            plan.reasons.push("no rows: nothing to run".into());
            return Ok(plan);
        }
        if self.dtype == Dtype::F16 && !limits.f16 {
            return Err(PlanError::Feature { operand: "x, y in f16".into(), feature: "shader-f16" });
        }
        check_bindings(&self.operands(), limits)?;
        let slots = (self.head_dim - self.rotary_dim / 2) as u64;
        // layouts, pairs and directions are sizes of one kernel
        let name = format!("rotary_embedding.{}", self.dtype);
        let dispatches = dispatches(rows * slots, PAIR_WORK, limits, &params(self));
        plan.steps.push(Step {
            consts: vec![("INVOCATIONS", INVOCATIONS)],
            aliases: vec![("Elem", wgsl_type(self.dtype))],
            f16: self.dtype == Dtype::F16,
            ..Step::plain(name, wgsl!("attention/rotary.wgsl"), dispatches)
        });
        Ok(plan)
    }
}
