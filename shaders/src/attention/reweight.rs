//! What re-weighted weights add to plans: a first pass that measures rows, before the forward kernel; the level of every row's gradients, before
//! the backward kernels. Both run over tiles and make no accumulator, so what they keep of a row is a few words.

use gatefold_core::{Attention, Dtype};

use super::backward::Planner;
use super::layout::{Layout, row_count};
use super::shares::{are_grouped, own_rows};
use super::tiles::{Stage, Tile};
use super::{QueryOperand, Variant, dropout, files, loops, masks, query_work, step_work};
use crate::source::wgsl;
use crate::{Limits, Param, PlanError, Source, Step};

/// Words of an own row that wait between two dispatches: sum, count and largest; sum and count.
const MEASURE_STATE: u32 = 3;
const LEVEL_STATE: u32 = 2;

const RAISED: Source = wgsl!("attention/raised.wgsl");
const MEASURES: Source = wgsl!("attention/measures.wgsl");
const MEASURE_ROWS: Source = wgsl!("attention/measure_rows.wgsl");
const BACKWARD_LEVELS: Source = wgsl!("attention/backward_levels.wgsl");

/// Part of the names of variants, whose text depends on the power.
pub(super) fn label(a: &Attention) -> String {
    a.reweight.map_or_else(String::new, |r| format!(".reweight{}", r.power))
}

/// Slot `reweight` of the forward pass.
pub(super) fn slot(a: &Attention) -> Vec<Source> {
    match a.reweight {
        None => vec![wgsl!("attention/reweight/none.wgsl")],
        Some(_) => vec![RAISED, wgsl!("attention/reweight/power.wgsl")],
    }
}

/// Slot `weight` of the gradient.
pub(super) fn weight() -> [Source; 2] {
    [RAISED, wgsl!("attention/weight/reweighted.wgsl")]
}

/// Slot `correction` of the gradient's row numbers.
pub(super) fn correction() -> [Source; 2] {
    [MEASURES, wgsl!("attention/correction/measured.wgsl")]
}

/// The members of `params` that say what is taken from measured weights.
pub(super) fn members(a: &Attention) -> [(&'static str, Param); 2] {
    let (offset, rows) = a.reweight.map_or((0.0, 0), |r| (r.offset, r.offset_rows));
    [("offset", Param::F32(offset)), ("offset_rows", Param::U32(rows))]
}

/// Reserves the words of every row's measures.
pub(super) fn reserve(a: &Attention, layout: &mut Layout) {
    if a.reweight.is_some() {
        layout.reserve("measures_at", 2 * row_count(a));
    }
}

/// The outputs that measure rows, as operands of a step.
pub(super) fn outputs(a: &Attention) -> impl Iterator<Item = QueryOperand> {
    let all = a.measures().iter();
    all.map(|&name| QueryOperand { name, shift: "lse_shift", width: 1, dtype: Dtype::F32 })
}

/// The step that measures rows, and the layout that it needs.
pub(super) fn measure(a: &Attention, limits: &Limits, layout: &Layout) -> Result<(Step, Layout), PlanError> {
    let d = &a.dims;
    let (tile, _) = Tile::choose(Stage::Forward, 1, own_rows(a), limits)?;
    let outputs: Vec<_> = outputs(a).filter(|_| a.row_sum).collect();
    let mut work = query_work(a, a, "attention_measure_rows", &tile, limits, &outputs);
    let grouped = are_grouped(a);
    if grouped {
        work.groups_per_unit = (own_rows(a) as u64).div_ceil(tile.tile_own().into());
    }
    let heads = if grouped { d.group() as u64 } else { 1 };
    work.step_trips = 1 + tile.product_trips(d.head_dim) + masks::tile_trips(a, &tile, heads);
    work.step_work = step_work(&tile, d.head_dim);
    let state = tile.own * MEASURE_STATE;
    let (split, layout) = work.split_waiting(a, (layout, state), &tile, limits)?;
    let mut variant = Variant::new("attention_measure_rows", a);
    variant.tile_slots(a, files::access_forward(a), &tile);
    variant.slots.extend([files::FORWARD_SCORES, MEASURES]);
    variant.slots.extend(files::phi(a));
    variant.slot(files::rows(grouped));
    variant.slot(match a.row_sum {
        true => (wgsl!("attention/measured/stored.wgsl"), ".measured"),
        false => (wgsl!("attention/measured/none.wgsl"), ""),
    });
    let loops = loops::measure_rows(a, &tile, split.passes);
    Ok((Step { loops, ..variant.step(a, MEASURE_ROWS, &tile, state, split) }, layout))
}

impl Planner<'_> {
    /// The step that finds the level of every row's gradients.
    pub(super) fn levels(&mut self) -> Result<(), PlanError> {
        let a = &self.op.forward;
        if a.reweight.is_none() {
            return Ok(());
        }
        let d = &a.dims;
        let (tile, _) = Tile::choose(Stage::BackwardQuery, 1, d.seq_q, self.limits)?;
        let d_o = [QueryOperand { name: "d_o", shift: "o_shift", width: d.val_dim, dtype: a.dtype }];
        let mut work = query_work(a, self.op, "attention_backward_levels", &tile, self.limits, &d_o);
        let products = tile.product_trips(d.head_dim) + tile.product_trips(d.val_dim);
        work.step_trips = 1 + products + masks::tile_trips(a, &tile, 1);
        work.step_work = step_work(&tile, d.head_dim + d.val_dim);
        let state = tile.own * LEVEL_STATE;
        let (split, layout) = work.split_waiting(a, (&self.layout, state), &tile, self.limits)?;
        self.layout.grow_to(&layout);
        let mut variant = Variant::new("attention_backward_levels", a);
        variant.tile_slots(a, files::ACCESS_BY_QUERY, &tile);
        variant.slots.push(MEASURES);
        variant.slots(files::weight(a));
        variant.slots(dropout::files(a, false));
        let loops = loops::backward_levels(a, &tile, split.passes);
        self.steps.push(Step { loops, ..variant.step(a, BACKWARD_LEVELS, &tile, state, split) });
        self.reasons.push(
            "levels: what the mean of re-weighted weights takes from a row's gradients, a pass before them".into(),
        );
        Ok(())
    }
}
