//! Plans of an attention with a prologue or an epilogue: the core's, with rows mapped before and after.

use gatefold_core::{Attention, AttentionBackward, Dtype, Op};

use super::affine::Affine;
use super::files;
use super::finish::Finish;
use super::injection::Injection;
use super::penalty::Penalty;
use super::row_map::RowMap;
use crate::{Kernels, Limits, Plan, PlanError, Step};

/// Globals of the core's kernels that an attention's maps take the place of, and what they bind then.
fn renames(a: &Attention) -> Vec<(&'static str, &'static str)> {
    let p = &a.prologue;
    let of = |on: bool, pair: [(&'static str, &'static str); 2]| on.then_some(pair).into_iter().flatten();
    let mut all: Vec<_> = of(p.maps_queries(), [("q", "q_ready"), ("d_q", "d_q_ready")]).collect();
    all.extend(of(p.maps_keys(), [("k", "k_ready"), ("d_k", "d_k_ready")]));
    all.extend(of(p.value_scale.is_some(), [("v", "v_ready"), ("d_v", "d_v_ready")]));
    all.extend(of(!a.epilogue.is_none(), [("o", "o_core"), ("d_o", "d_o_core")]));
    all
}

/// What a global of the core's kernels binds.
pub(super) fn bound(a: &Attention, global: &'static str) -> &'static str {
    renames(a).into_iter().find(|(name, _)| *name == global).map_or(global, |(_, operand)| operand)
}

fn renamed(steps: Vec<Step>, a: &Attention, in_place: bool) -> impl Iterator<Item = Step> {
    let mut binds = renames(a);
    binds.retain(|&(global, _)| !(in_place && global == "o"));
    saturated(steps, a.dtype).map(move |mut step| {
        step.binds.extend(&binds);
        step
    })
}

/// Adds to what a variant's name says of its slots: after the kernel's name, since a name ends with its tile.
pub(super) fn add_to_name(step: &mut Step, part: &str) {
    let kernel = step.name.find('.').unwrap_or(step.name.len());
    step.name.insert_str(kernel, part);
}

/// The steps, which saturate what they store, since others read it again.
pub(super) fn saturated(steps: Vec<Step>, dtype: Dtype) -> impl Iterator<Item = Step> {
    steps.into_iter().map(move |mut step| {
        // what marks is NaN, and stays so
        let marks = [files::MARK_QUERY, files::MARK_KEY].contains(&step.kernel);
        if dtype == Dtype::F16
            && !marks
            && let Some(slot) = step.slots.iter_mut().find(|slot| **slot == files::NARROW)
        {
            *slot = files::NARROW_SATURATED;
            add_to_name(&mut step, ".saturated");
        }
        step
    })
}

/// The plan of a forward pass, or of another op that reads what it reads, around its core's.
pub(super) fn forward(a: &Attention, core: &impl Kernels, limits: &Limits) -> Result<Plan, PlanError> {
    let mut plan = core.plan(limits)?;
    if plan.steps.is_empty() {
        return Ok(plan);
    }
    let finish = Finish::of(a, limits, &plan.steps);
    let injection = Injection::of(a, limits);
    let in_place = finish.is_some() || injection.as_ref().is_some_and(Injection::is_in_place);
    let mut steps = Vec::new();
    for map in RowMap::prologue(a, limits) {
        let (step, scratch) = map.forward()?;
        steps.extend(step);
        plan.scratch.extend(scratch);
    }
    if let Some(penalty) = Penalty::of(a, limits) {
        steps.push(penalty.forward(&mut plan)?);
    }
    steps.extend(renamed(plan.steps, a, in_place).map(|mut step| {
        finish.iter().for_each(|f| f.apply(a, &mut step));
        step
    }));
    if let Some(affine) = Affine::of(a, limits) {
        let (more, scratch) = affine.forward()?;
        steps.extend(more);
        plan.scratch.extend(scratch);
    }
    if let Some(map) = RowMap::epilogue(a, limits).filter(|_| finish.is_none()) {
        let (step, scratch) = map.forward()?;
        steps.extend(step);
        plan.scratch.extend(scratch);
    }
    if let Some(injection) = injection {
        let (step, scratch) = injection.forward()?;
        steps.push(step);
        plan.scratch.extend(scratch);
    }
    plan.steps = steps;
    plan.rounds_rows = a.dtype == Dtype::F16;
    plan.reasons.extend(finish.is_some().then(|| GATED.into()));
    plan.reasons.extend((finish.is_none() || !a.prologue.is_none()).then(|| REASON.into()));
    Ok(plan)
}

const GATED: &str = "epilogue: rows are gated as they are stored";
const REASON: &str =
    "prologue and epilogue: rows are mapped by kernels of their own, once each, whatever the core's tiles";

/// The plan of a gradient: the prologue again, the epilogue's gradient, the core's, the prologue's.
pub(super) fn backward(op: &AttentionBackward, limits: &Limits) -> Result<Plan, PlanError> {
    let a = &op.forward;
    let mut plan = op.core().plan(limits)?;
    if plan.steps.is_empty() {
        return Ok(plan);
    }
    let (mut before, mut after, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
    for map in RowMap::prologue(a, limits) {
        let (step, more) = map.forward()?;
        before.extend(step);
        scratch.extend(more);
        let (steps, more) = map.backward()?;
        after.extend(steps);
        scratch.extend(more);
    }
    let affine = Affine::of(a, limits);
    if let Some(affine) = &affine {
        let (steps, more) = affine.again()?;
        before.extend(steps);
        scratch.extend(more);
    }
    if let Some(map) = RowMap::epilogue(a, limits) {
        let (steps, more) = map.backward()?;
        before.extend(steps);
        scratch.extend(more);
    }
    if let Some(injection) = Injection::of(a, limits) {
        let (steps, more) = injection.backward()?;
        before.extend(steps);
        scratch.extend(more);
    }
    if let Some(penalty) = Penalty::of(a, limits) {
        before.push(penalty.forward(&mut plan)?);
        let own = penalty.backward(&mut plan)?;
        after.splice(0..0, own);
    }
    if let Some(affine) = &affine {
        let (steps, more) = affine.backward()?;
        before.extend(steps);
        scratch.extend(more);
        // before the prologue's, which read the gradient of the values
        after.splice(0..0, affine.values()?);
    }
    // maps that run one after another share the scratch of their sums
    for s in scratch {
        match plan.scratch.iter_mut().find(|known| known.name == s.name) {
            Some(known) => known.bytes = known.bytes.max(s.bytes),
            None => plan.scratch.push(s),
        }
    }
    before.extend(renamed(plan.steps, a, false));
    before.extend(after);
    plan.steps = before;
    plan.rounds_rows = a.dtype == Dtype::F16;
    plan.reasons.push(REASON.into());
    debug_assert_eq!(plan.op, AttentionBackward::NAME);
    Ok(plan)
}
