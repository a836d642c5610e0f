//! The plans of a combine and of its gradients: a step for each output.

use gatefold_core::{MoeCombine, MoeCombineBackward, Op};

use super::rejected;
use super::rows::{Numbers, RowGrid, access, check_dtype, file, step};
use crate::source::wgsl;
use crate::spans::check_bindings;
use crate::{Kernels, Limits, Plan, PlanError, Step};

/// Multiply-adds that a quad costs that is read and written.
const QUAD_WORK: f64 = 16.0;

impl Kernels for MoeCombine {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        check_dtype(self.dtype, "y, o", limits)?;
        check_bindings(&self.operands(), limits)?;
        if self.tokens == 0 {
            plan.reasons.push("no tokens: nothing to sum".into());
        } else {
            plan.steps.push(sum(self, limits));
        }
        if self.report {
            rejected::add(&mut plan, "inverse", self.tokens * self.top_k, self.rows, limits);
        }
        Ok(plan)
    }
}

fn sum(op: &MoeCombine, limits: &Limits) -> Step {
    let (hidden, top_k) = (op.hidden, op.top_k as u64);
    let grid = RowGrid::by_quad(op.tokens, hidden, hidden.div_ceil(4), limits);
    let dispatches = grid.dispatches(QUAD_WORK * op.top_k as f64, limits, Numbers::of_list(op.top_k, op.rows));
    let (word, weight) = if op.weighted {
        ("weighted", wgsl!("routing/combine/given.wgsl"))
    } else {
        ("sum", wgsl!("routing/combine/none.wgsl"))
    };
    let name = format!("moe_combine.{word}.{}.{}", op.dtype, access(hidden));
    let slots = vec![file("in", hidden), file("out", hidden), weight];
    let mut made = step(name, wgsl!("routing/combine.wgsl"), slots, op.dtype, dispatches);
    made.binds = vec![("rows_in", "y"), ("rows_out", "o")];
    made.trips = grid.own_blocks() * (1 + top_k);
    made
}

impl Kernels for MoeCombineBackward {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        check_dtype(self.dtype, "y, d_o, d_y", limits)?;
        check_bindings(&self.operands(), limits)?;
        if self.rows > 0 {
            plan.steps.push(d_rows(self, limits));
        }
        if self.tokens > 0 {
            plan.steps.push(d_weights(self, limits));
        }
        Ok(plan)
    }
}

/// Each row gets its token's gradient, weighed.
fn d_rows(op: &MoeCombineBackward, limits: &Limits) -> Step {
    let hidden = op.hidden;
    let grid = RowGrid::by_quad(op.rows, hidden, hidden.div_ceil(4), limits);
    let dispatches = grid.dispatches(QUAD_WORK, limits, Numbers::of_list(op.top_k, op.tokens * op.top_k));
    let name = format!("moe_combine_d_rows.{}.{}", op.dtype, access(hidden));
    let slots = vec![file("in", hidden), file("out", hidden), wgsl!("routing/combine/given.wgsl")];
    let mut made = step(name, wgsl!("routing/combine/d_rows.wgsl"), slots, op.dtype, dispatches);
    made.binds = vec![("rows_in", "d_o"), ("rows_out", "d_y")];
    made.trips = grid.own_blocks();
    made
}

/// A dot product for each assignment.
fn d_weights(op: &MoeCombineBackward, limits: &Limits) -> Step {
    let hidden = op.hidden;
    let grid = RowGrid::by_row(op.tokens * op.top_k, hidden, limits);
    let dispatches = grid.dispatches(QUAD_WORK, limits, Numbers::of_list(op.top_k, op.rows));
    let name = format!("moe_combine_d_weights.{}.{}", op.dtype, access(hidden));
    let slots = vec![file("in", hidden), file("beside", hidden)];
    let mut made = step(name, wgsl!("routing/combine/d_weights.wgsl"), slots, op.dtype, dispatches);
    made.binds = vec![("rows_in", "y"), ("rows_beside", "d_o")];
    made.trips = grid.own_quads() + grid.levels();
    made
}
