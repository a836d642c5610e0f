//! Plans of a gate with its projection: products, the gate's plan, and rows widened or narrowed where they are f16.

use gatefold_core::{Dtype, Gemm, Op, Router, RouterBackward};

use super::elementwise::{add, cast};
use crate::compose::{Stages, staged};
use crate::{Kernels, Limits, Plan, PlanError, Scratch};

/// Widens the rows of `x` where they are f16, and says where rows in f32 are.
fn widened(stages: &mut Stages<'_>, router: &Router, limits: &Limits) -> Result<&'static str, PlanError> {
    if router.dtype == Dtype::F32 {
        return Ok("x");
    }
    if !limits.f16 {
        return Err(PlanError::Feature { operand: "x in f16".into(), feature: "shader-f16" });
    }
    let elements = router.gate.tokens as u64 * router.hidden as u64;
    let name = staged("wide", "x");
    let step = cast(("x", Dtype::F16), (name, Dtype::F32), elements, limits)?;
    stages.push(step, Some(Scratch { name, bytes: 4 * elements }));
    Ok(name)
}

impl Kernels for Router {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut stages = Stages::new(Self::NAME, self.operands(), limits);
        let gate = &self.gate;
        if gate.tokens == 0 {
            stages.add("gate", gate, &[])?;
            return Ok(stages.finish(Some("no tokens: nothing to project".into())));
        }
        let rows = widened(&mut stages, self, limits)?;
        let project = Gemm::new(gate.tokens, gate.experts, self.hidden);
        stages.add("project", &project, &[("a", rows), ("b", "w_gate"), ("c", "logits")])?;
        stages.add("gate", gate, &[])?;
        Ok(stages.finish(None))
    }
}

impl Kernels for RouterBackward {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut stages = Stages::new(Self::NAME, self.operands(), limits);
        let gate = &self.gate.forward;
        let (tokens, experts, hidden) = (gate.tokens, gate.experts, self.hidden);
        if tokens == 0 {
            return Ok(stages.finish(Some("no tokens: nothing to run".into())));
        }
        let rows = widened(&mut stages, &self.forward(), limits)?;
        stages.add("gate", &self.gate, &[])?;
        let mut d_logits = staged("gate", "d_logits");
        if self.more {
            let (elements, sum) = (tokens as u64 * experts as u64, staged("sum", "d_logits"));
            let f32s = |name| (name, Dtype::F32);
            stages.push(
                add([f32s(d_logits), f32s("d_logits_more")], f32s(sum), elements, limits)?,
                Some(Scratch { name: sum, bytes: 4 * elements }),
            );
            d_logits = sum;
        }
        let wide = if self.dtype == Dtype::F32 { "d_x" } else { staged("d_x", "c") };
        let to_rows = Gemm { transpose_b: true, ..Gemm::new(tokens, hidden, experts) };
        stages.add("d_x", &to_rows, &[("a", d_logits), ("b", "w_gate"), ("c", wide)])?;
        if self.dtype == Dtype::F16 {
            stages.push(cast((wide, Dtype::F32), ("d_x", Dtype::F16), tokens as u64 * hidden as u64, limits)?, None);
        }
        let to_weights = Gemm { transpose_a: true, ..Gemm::new(hidden, experts, tokens) };
        stages.add("d_w_gate", &to_weights, &[("a", rows), ("b", d_logits), ("c", "d_w_gate")])?;
        Ok(stages.finish(None))
    }
}
