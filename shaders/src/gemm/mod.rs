//! Matrix products: plans of the one kernel, `product.wgsl`.
//!
//! A workgroup forms one tile of `c`. Where the terms of a sum are too many for one dispatch, by loop trips, time or the size of a binding,
//! sums wait in the scratch `side` and later dispatches go on from there, in a fixed order. `side` also holds the bias.

mod dispatch;
mod files;
mod grouped;
mod matrix;
mod tiles;

use gatefold_core::{Dtype, Gemm, Op};

use crate::plan::wgsl_type;
use crate::{Kernels, Limits, Packed, Plan, PlanError, Scratch, Step};
use dispatch::Job;
use files::{Access, Layout, Shape};
use matrix::MatrixTile;
use tiles::{Schedule, Tile};

/// Name of the scratch that holds the bias and sums between dispatches.
const SIDE: &str = "side";

/// The same product with its batch folded into rows, where rows of all batch entries lie one after another and meet the same `b`.
fn folded(op: &Gemm) -> Gemm {
    if op.shared_b && !op.shared_a && !op.transpose_a {
        return Gemm { batch: 1, m: op.batch * op.m, ..op.clone() };
    }
    op.clone()
}

/// The tile: for matrix units where they can be used.
fn tile(op: &Gemm, limits: &Limits, plan: &mut Plan) -> Result<Tile, PlanError> {
    match MatrixTile::choose(op, limits) {
        Ok(tile) => {
            plan.reasons.push(
                "matrix: the adapter's matrix units passed their test; nothing is rounded that other schedules do not"
                    .into(),
            );
            Ok(tile)
        }
        Err(why) => {
            let (tile, taken) = Tile::choose(op.batch as u64, op.m as u64, op.n as u64, limits)?;
            plan.reasons.extend([taken, format!("no matrix units: {why}")]);
            Ok(tile)
        }
    }
}

impl Kernels for Gemm {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        if self.batch * self.m * self.n == 0 {
            plan.reasons.push("no elements: nothing to run".into());
            return Ok(plan);
        }
        if self.dtype == Dtype::F16 && !limits.f16 {
            return Err(PlanError::Feature { operand: "a, b in f16".into(), feature: "shader-f16" });
        }
        let op = folded(self);
        if op.batch < self.batch {
            plan.reasons.push("one product: rows of all batch entries meet the same b".into());
        }
        let tile = tile(&op, limits, &mut plan)?;
        let access = Access::of(&op);
        let split = Job { op: &op, tile: &tile, access, limits }.split()?;
        if split.passes > 1 {
            plan.reasons
                .push(format!("sums wait in side: {} dispatches, by loop trips, time or binding", split.passes));
        }
        if self.bias {
            plan.packed.push(Packed { operand: "bias", scratch: SIDE, offset: 0, bytes: 4 * self.n as u64 });
        }
        let carry = if split.passes > 1 { ".carry" } else { "" };
        plan.scratch.push(Scratch { name: SIDE, bytes: split.side_bytes });
        plan.steps.push(Step {
            name: format!("gemm.{}{carry}.{}.{}.{}", op.layout(), op.dtype, access.name(), tile.name()),
            kernel: files::PRODUCT,
            slots: files::slots(Shape::Dense, Layout::of(&op), tile.schedule, split.passes),
            consts: tile.consts(),
            aliases: std::iter::once(("Elem", wgsl_type(op.dtype))).chain(tile.aliases()).collect(),
            f16: op.dtype == Dtype::F16,
            subgroups: tile.schedule == Schedule::Lanes,
            matrix: matches!(tile.schedule, Schedule::Matrix(_)),
            binds: Vec::new(),
            dispatches: split.dispatches,
            trips: split.trips,
            proven: true,
            loops: tile.loops(op.k, split.passes),
        });
        Ok(plan)
    }
}
