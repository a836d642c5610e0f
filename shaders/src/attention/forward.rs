//! The plan of the forward pass: its tile, its shares of the keys, and the step that joins them.

use gatefold_core::Attention;
use gatefold_core::attention::NanPolicy;

use super::classes::Wanted;
use super::layout::{Layout, Members};
use super::marks::{Marks, reserve_flags};
use super::matrix::MatrixTile;
use super::shares::{Shares, are_grouped, own_rows};
use super::split::{Split, Work};
use super::tiles::{Stage, Tile};
use super::{
    QueryOperand, Variant, dropout, files, frobenius, local_linear, loops, masks, query_penalty, query_work, reweight,
    sink_key, step_work, storage,
};
use crate::{Limits, Plan, PlanError, Step};

/// The forward pass of an attention on an adapter.
pub(super) struct Forward<'a> {
    a: &'a Attention,
    limits: &'a Limits,
    tile: Tile,
    outputs: Vec<QueryOperand>,
    /// The output that keeps a number of every row, if it is wanted.
    saved: Option<&'static str>,
    grouped: bool,
    work: Work,
    shares: Shares,
}

impl<'a> Forward<'a> {
    /// Chooses the tile and the shares.
    pub(super) fn new(a: &'a Attention, limits: &'a Limits, plan: &mut Plan) -> Result<Self, PlanError> {
        let d = &a.dims;
        let tile = tile(a, limits, plan)?;
        let mut outputs = vec![QueryOperand { name: "o", shift: "o_shift", width: d.val_dim, dtype: a.dtype }];
        let saved = a.saved().filter(|_| a.lse || a.row_sum);
        outputs.extend(saved.map(|name| local_linear::saved(a, name)));
        let mut work = query_work(a, a, "attention_forward", &tile, limits, &outputs);
        work.step_trips = 1 + tile.product_trips(d.head_dim) + tile.accumulate_trips();
        work.step_work = step_work(&tile, d.head_dim + d.val_dim);
        let grouped = are_grouped(a);
        work.step_trips += masks::tile_trips(a, &tile, if grouped { d.group() as u64 } else { 1 });
        if grouped {
            work.groups_per_unit = (own_rows(a) as u64).div_ceil(tile.tile_queries().into());
            plan.reasons.push(format!("grouped: {} rows are the queries of {} heads", own_rows(a), d.group()));
        }
        let shares = Shares::of(a, &work, tile.is_matrix(), limits);
        if shares.are_several() {
            work.groups_per_unit *= shares.count;
            work.visited = work.visited.min(shares.keys);
            plan.reasons
                .push(format!("split: {} workgroups share the keys of a tile, {} each", shares.count, shares.keys));
        }
        Ok(Self { a, limits, tile, outputs, saved, grouped, work, shares })
    }

    /// Words in which an invocation leaves its accumulator and its rows' state.
    fn state_words(&self) -> u32 {
        self.tile.own * (4 * self.tile.width4.div_ceil(self.tile.row_parts()) + files::row_state(self.a))
    }

    fn split(&self, work: &Work, layout: &Layout) -> Result<Split, PlanError> {
        let mut members = Members::new(self.a, layout);
        self.shares.set(&mut members);
        work.split(&members, self.limits)
    }

    /// Adds the steps.
    pub(super) fn plan(&self, plan: &mut Plan) -> Result<(), PlanError> {
        let Self { a, limits, .. } = *self;
        let mut layout = Layout::new(&storage::beside_scales(a));
        masks::reserve_ranges(a, &mut layout);
        frobenius::reserve(a, &mut layout);
        query_penalty::reserve(a, &mut layout);
        sink_key::reserve(a, &mut layout);
        reweight::reserve(a, &mut layout);
        if self.saved.is_some() {
            local_linear::reserve(a, &mut layout);
        }
        let exact = a.nan_policy == NanPolicy::Exact;
        if exact {
            reserve_flags(a, &mut layout);
        }
        // The steps run one after another, so what waits in one may wait where it does in another.
        let measure = a.reweight.map(|_| reweight::measure(a, limits, &layout)).transpose()?;
        // Split once to learn whether accumulators must wait in side, then again with their place known.
        let passes = self.split(&self.work, &layout)?.passes;
        if passes > 1 {
            plan.reasons.push(format!("carry: the keys are cut into {passes} dispatches, by loop trips or time"));
        }
        if passes > 1 || self.shares.are_several() {
            let invocations = self.work.units * self.work.groups_per_unit * u64::from(self.tile.invocations());
            layout.reserve("state_at", invocations * u64::from(self.state_words()));
        }
        if let Some((_, used)) = &measure {
            layout.grow_to(used);
        }
        if exact {
            plan.steps = Marks { a, op: a, limits, layout: &layout }.scans(false)?;
            plan.reasons.push("scan and mark: NanPolicy::Exact follows values that are not finite".into());
        }
        plan.steps.extend(masks::document_ranges(a, &layout, limits)?);
        plan.steps.extend(query_penalty::forward(a, a, &layout, limits)?);
        plan.steps.extend(sink_key::forward(a, a, &layout, limits)?);
        plan.steps.extend(measure.map(|(step, _)| step));
        plan.steps.push(self.tiles(passes, &layout)?);
        if self.shares.are_several() {
            plan.steps.push(self.combine(&layout)?);
        }
        if exact {
            // a count of keys is a number whatever they hold
            let marked = self.saved.filter(|_| a.couples_row());
            plan.steps.push(Marks { a, op: a, limits, layout: &layout }.queries(false, marked)?);
        }
        plan.steps.extend(frobenius::scale_rows(a, &layout, limits)?);
        if self.saved.is_some() {
            plan.steps.extend(local_linear::store_moments(a, &layout, limits)?);
        }
        let (side, packed) = layout.finish(limits)?;
        plan.scratch.push(side);
        plan.packed = packed;
        Ok(())
    }

    /// The kernel over tiles of queries and keys.
    fn tiles(&self, passes: usize, layout: &Layout) -> Result<Step, PlanError> {
        let Self { a, tile, .. } = self;
        let mut variant = Variant::new("attention_forward", a);
        variant.tile_slots(a, files::access_forward(a), tile);
        variant.slots(files::row(a, tile));
        variant.slots.extend(files::score_matrix(a, tile));
        variant.slots(local_linear::saving(a, self.saved));
        let waits = passes > 1 || self.shares.are_several();
        variant.slot(files::carry(waits, tile));
        if !tile.is_matrix() {
            variant.slot(files::rows(self.grouped));
            variant.slot(files::share(self.shares.are_several()));
            variant.slots(dropout::files(a, true));
            variant.slots.extend([files::FORWARD_SCORES, local_linear::store_rows(a)]);
        }
        let split = self.split(&self.work, layout)?;
        let count = passes as f64 * self.shares.count as f64;
        let loops = loops::forward(a, tile, count);
        Ok(Step { loops, ..variant.step(a, files::forward(tile), tile, self.state_words(), split) })
    }

    /// The step that joins what the shares have left.
    fn combine(&self, layout: &Layout) -> Result<Step, PlanError> {
        let Self { a, tile, limits, .. } = self;
        let whole = self.work.groups_per_unit / self.shares.count;
        let mut work = query_work(a, *a, "attention_forward_combine", tile, limits, &self.outputs);
        work = Work { groups_per_unit: whole, stream: 0, fixed_trips: self.shares.count, ..work };
        let mut variant = Variant::new("attention_forward_combine", a);
        variant.slots.extend([files::schedule(tile), files::SCORE, local_linear::store_rows(a)]);
        variant.slots.extend(files::access_forward(a));
        variant.slots(files::row(a, tile));
        // Scores are not formed again: whatever forms them is the simplest there is.
        variant.slots.extend(files::PLAIN_SCORES);
        variant.slots(local_linear::saving(a, self.saved));
        variant.slots.push(files::carry(true, tile).0);
        variant.slot(files::rows(self.grouped));
        let split = self.split(&work, layout)?;
        Ok(variant.step(a, files::FORWARD_COMBINE, tile, self.state_words(), split))
    }
}

/// The tile: for matrix units where they can be used.
fn tile(a: &Attention, limits: &Limits, plan: &mut Plan) -> Result<Tile, PlanError> {
    match MatrixTile::choose(a, limits) {
        Ok(tile) => {
            plan.reasons
                .push("matrix: the adapter's matrix units passed their test; weights are rounded to f16".into());
            plan.rounds_weights = true;
            Ok(tile)
        }
        Err(why) => {
            let (tile, taken) = Wanted { a, stage: Stage::Forward }.tile(limits)?;
            plan.reasons.extend(taken);
            plan.reasons.push(format!("no matrix units: {why}"));
            Ok(tile)
        }
    }
}
