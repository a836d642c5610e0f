//! The plan of a dispatch: one step that copies rows as words.

use gatefold_core::{Dtype, MoeDispatch, Op};

use super::rejected;
use super::rows::{Numbers, RowGrid, check_dtype, step};
use crate::source::wgsl;
use crate::spans::check_bindings;
use crate::{Kernels, Limits, Plan, PlanError};

/// Multiply-adds that a word costs.
const WORD_WORK: f64 = 8.0;

/// The widest word that rows are made of, its name in names of variants, and its bytes. Halves of an odd width are the only ones that need f16.
fn word(op: &MoeDispatch) -> (&'static str, &'static str, usize) {
    let bytes = op.hidden * op.dtype.size();
    let words = [("vec4<u32>", "words4", 16), ("vec2<u32>", "words2", 8), ("u32", "words", 4)];
    words.into_iter().find(|(_, _, size)| bytes.is_multiple_of(*size)).unwrap_or(("f16", "halves", 2))
}

impl Kernels for MoeDispatch {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        let (alias, name, size) = word(self);
        let dtype = if size == 2 { Dtype::F16 } else { Dtype::F32 };
        check_dtype(dtype, "x, y", limits)?;
        check_bindings(&self.operands(), limits)?;
        if self.rows == 0 {
            plan.reasons.push("no rows: nothing to copy".into());
        } else {
            let words = self.hidden * self.dtype.size() / size;
            let grid = RowGrid::by_quad(self.rows, words, words, limits);
            let numbers = Numbers::of_list(self.top_k, self.tokens * self.top_k);
            let dispatches = grid.dispatches(WORD_WORK, limits, numbers);
            let kernel = wgsl!("routing/dispatch.wgsl");
            let mut copy = step(format!("moe_dispatch.{name}"), kernel, Vec::new(), dtype, dispatches);
            copy.aliases = vec![("Word", alias)];
            copy.trips = grid.own_blocks();
            plan.reasons.push(format!("rows of {words} words of {size} bytes"));
            plan.steps.push(copy);
        }
        if self.report {
            rejected::add(&mut plan, "permutation", self.rows, self.tokens * self.top_k, limits);
        }
        Ok(plan)
    }
}
