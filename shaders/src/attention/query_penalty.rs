//! A penalty on the length of queries: numbers per row that slot bias takes from scores, and what it adds to the gradient of the queries.

use gatefold_core::{Attention, Dtype, Op};

use super::layout::{Layout, Members, map_rows, operand_bytes, row_count};
use super::row_map::largest;
use super::split::{Parted, Work};
use super::{FLAT, files, flat_step, heads_contiguous};
use crate::plan::narrow;
use crate::source::wgsl;
use crate::{Limits, PlanError, Source, Step};

/// Reserves a word per row.
pub(super) fn reserve(a: &Attention, layout: &mut Layout) {
    if penalises(a) {
        layout.reserve("query_penalty_at", row_count(a));
    }
}

/// The step that forms the penalties, if there are any.
pub(super) fn forward<O: Op>(
    a: &Attention,
    op: &O,
    layout: &Layout,
    limits: &Limits,
) -> Result<Option<Step>, PlanError> {
    let kernel = ("attention_query_penalty".into(), wgsl!("attention/query_penalty.wgsl"));
    penalises(a).then(|| by_row(a, op, kernel, &["q"], Vec::new(), (layout, limits))).transpose()
}

/// The step that takes their share from the gradient of the queries.
pub(super) fn backward<O: Op>(
    a: &Attention,
    op: &O,
    layout: &Layout,
    limits: &Limits,
) -> Result<Option<Step>, PlanError> {
    let kernel = ("attention_query_penalty_backward".into(), wgsl!("attention/query_penalty_backward.wgsl"));
    penalises(a).then(|| by_row(a, op, kernel, &["q", "d_q"], Vec::new(), (layout, limits))).transpose()
}

fn penalises(a: &Attention) -> bool {
    a.prologue.query_penalty.is_some()
}

/// A step that takes a query an invocation, and binds these rows of them.
pub(super) fn by_row<O: Op>(
    a: &Attention,
    op: &O,
    (name, kernel): (String, Source),
    rows: &[&'static str],
    more: Vec<Source>,
    (layout, limits): (&Layout, &Limits),
) -> Result<Step, PlanError> {
    let (width, element) = (a.dims.head_dim as u64, a.dtype.size() as u64);
    let part = |&operand: &&'static str| Parted::rows(operand, "o_shift", operand_bytes(op, operand), width, element);
    let work = Work {
        divisible: heads_contiguous(a),
        parted: rows.iter().map(part).collect(),
        step_trips: width,
        step_work: f64::from(FLAT) * width as f64,
        ..Work::flat("attention, a query an invocation", map_rows(a, true).div_ceil(FLAT.into()), 1)
    };
    let mut members = Members::new(a, layout);
    members.set("row_width", narrow(width));
    members.set_f32("query_penalty", a.half_query_penalty().unwrap_or(0.0));
    let split = work.split(&members, limits)?;
    let slots = [files::SHAPE, files::QUERY_ROWS, wgsl!("attention/row_map/scaled.wgsl")].into_iter().chain(more);
    let mut step = flat_step(format!("{name}.{}", a.dtype), (kernel, slots.collect()), Some(a.dtype), split);
    step.consts.push(largest(a.dtype));
    Ok(step)
}

/// Whether rows of gradients are stored twice in f16.
pub(super) fn rounds(a: &Attention) -> bool {
    penalises(a) && a.dtype == Dtype::F16
}
