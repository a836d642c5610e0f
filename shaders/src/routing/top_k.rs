//! The plan of a top-k: keys are formed from elements as they are read.

use gatefold_core::{Dtype, Op, TopK};

use super::select::Choice;
use crate::source::wgsl;
use crate::spans::check_bindings;
use crate::{Kernels, Limits, Plan, PlanError};

impl Kernels for TopK {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        if self.rows == 0 {
            plan.reasons.push("no rows: nothing to run".into());
            return Ok(plan);
        }
        let half = self.dtype == Dtype::F16;
        if half && !limits.f16 {
            return Err(PlanError::Feature { operand: "x, values in f16".into(), feature: "shader-f16" });
        }
        check_bindings(&self.operands(), limits)?;
        let (elements, key_bits, infinity) = if half {
            (wgsl!("routing/top_k/elements_f16.wgsl"), 16, 0x7c00)
        } else {
            (wgsl!("routing/top_k/elements_f32.wgsl"), 32, 0x7f80_0000)
        };
        let choice = Choice {
            stem: Self::NAME,
            variant: self.label(),
            rows: self.rows as u64,
            cols: self.cols as u64,
            count: self.k as u64,
            key_bits,
            key: vec![wgsl!("routing/top_k/key.wgsl"), elements],
            sink: vec![wgsl!("routing/top_k/store.wgsl")],
            sink_needs_key: true,
            consts: vec![
                ("MIDDLE", 1 << (key_bits - 1)),
                ("INFINITY_BITS", infinity),
                ("FALLS", u32::from(self.largest)),
            ],
            binds: if half { vec![("x_halves", "x")] } else { Vec::new() },
            f16: half,
            limits,
        };
        let made = choice.chosen()?;
        (plan.steps, plan.scratch) = (made.steps, made.scratch);
        plan.reasons.push(made.reason);
        Ok(plan)
    }
}
