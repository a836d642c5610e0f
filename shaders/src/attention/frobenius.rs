//! A normaliser of whole heads: rows leave the core divided by their own norms, their squares are summed by head, and the rows are scaled. In the
//! gradient two sums by head, of squares and of `d_o·o`, come before everything else.

use gatefold_core::{Attention, Dtype, Op};

use super::backward::Planner;
use super::dressed::saturated;
use super::forward::Forward;
use super::layout::{Layout, Members, map_rows, operand_bytes, row_count};
use super::row_map::{largest, sized};
use super::split::{Parted, Work};
use super::{FLAT, files, flat_step, heads_contiguous};
use crate::plan::narrow;
use crate::source::wgsl;
use crate::{Limits, Plan, PlanError, Source, Step};

const NUMBERS: Source = wgsl!("attention/global/numbers.wgsl");
const SCALED: Source = wgsl!("attention/row_map/scaled.wgsl");

/// Reserves what is summed over each head.
pub(super) fn reserve(a: &Attention, layout: &mut Layout) {
    if a.normalizer.of_head().is_some() {
        layout.reserve("heads_at", 2 * heads(a));
    }
}

fn heads(a: &Attention) -> u64 {
    (a.dims.batch * a.dims.q_heads) as u64
}

/// Plans the forward pass of an attention whose heads have a normaliser, `row_sum` in a scratch where it is not an output.
pub(super) fn forward(a: &Attention, limits: &Limits, plan: &mut Plan) -> Result<(), PlanError> {
    Forward::new(&a.clone().saving(true), limits, plan)?.plan(plan)?;
    plan.steps = saturated(std::mem::take(&mut plan.steps), a.dtype).collect();
    if !a.row_sum {
        plan.scratch.push(sized("row_sum", row_count(a) * 4));
    }
    plan.rounds_rows = a.dtype == Dtype::F16;
    plan.reasons.push("by head: rows are scaled when the norms of all weights are known".into());
    Ok(())
}

/// The steps of the forward pass after the core's: sums by head, and the scaling of rows.
pub(super) fn scale_rows(a: &Attention, layout: &Layout, limits: &Limits) -> Result<Vec<Step>, PlanError> {
    if a.normalizer.of_head().is_none() {
        return Ok(Vec::new());
    }
    let saved = a.clone().saving(true);
    let (width, element) = (a.dims.val_dim as u64, a.dtype.size() as u64);
    let part = |operand, shift, width: u64, element: u64| {
        Parted::rows(operand, shift, operand_bytes(&saved, operand), width, element)
    };
    let work = Work {
        divisible: heads_contiguous(a),
        parted: vec![part("o", "o_shift", width, element), part("row_sum", "lse_shift", 1, 4)],
        step_trips: width,
        step_work: f64::from(FLAT) * width as f64,
        ..Work::flat("attention_scale_rows", map_rows(a, true).div_ceil(FLAT.into()), 1)
    };
    let mut members = Members::new(a, layout);
    members.set("row_width", narrow(width));
    let split = work.split(&members, limits)?;
    let slots = vec![files::SHAPE, files::QUERY_ROWS, SCALED, files::normalizer(a).0, NUMBERS];
    let kernel = (wgsl!("attention/global/scale_rows.wgsl"), slots);
    let mut step = flat_step(format!("attention_scale_rows.{}", a.dtype), kernel, Some(a.dtype), split);
    step.consts.push(largest(a.dtype));
    Ok(vec![sum_by_head(&saved, &saved, "row_sum", layout, limits)?, step])
}

/// The step that sums over the rows of each head: squares from `row_sum`, or `delta`.
fn sum_by_head<O: Op>(
    a: &Attention,
    op: &O,
    of: &'static str,
    layout: &Layout,
    limits: &Limits,
) -> Result<Step, PlanError> {
    let work = Work {
        parted: vec![Parted::whole(of, operand_bytes(op, of))],
        stream_step: FLAT.into(),
        fixed_trips: 8,
        ..Work::flat("attention_reduce_rows", heads(a), a.dims.seq_q as u64)
    };
    let split = work.split(&Members::new(a, layout), limits)?;
    let slot = files::reduction(if of == "row_sum" { "head_squares" } else { "head_delta" });
    let kernel = (files::REDUCE_ROWS, vec![files::SHAPE, slot]);
    Ok(flat_step(format!("attention_reduce_rows.head_{of}"), kernel, None, split))
}

impl Planner<'_> {
    /// Sums by head, from which the numbers of rows are then formed.
    pub(super) fn head_statistics(&mut self) -> Result<(), PlanError> {
        let a = &self.op.forward;
        self.row_numbers(".delta", vec![files::SHAPE, wgsl!("attention/numbers/delta.wgsl"), files::OUTPUT_DELTA])?;
        for of in ["row_sum", "delta"] {
            self.steps.push(sum_by_head(a, self.op, of, &self.layout, self.limits)?);
        }
        let numbers = wgsl!("attention/numbers/global.wgsl");
        self.row_numbers(".global", vec![files::SHAPE, numbers, files::normalizer(a).0, NUMBERS])
    }
}
