//! Plan of the attention's gradient: row preprocess (softmax and normalisers), d_q, d_k/d_v, and the sums that biases need.

use gatefold_core::attention::{NanPolicy, ScoreBias};
use gatefold_core::{Attention, AttentionBackward, Op};

use super::classes::{self, Wanted};
use super::layout::{Layout, Members, key_count, operand_bytes, row_count};
use super::loops;
use super::marks::{Marks, reserve_flags};
use super::split::{Parted, Work};
use super::tiles::{Stage, Tile};
use super::{
    FLAT, Parts, QueryOperand, Variant, check_features, custom, dressed, dropout, files, flat_step, frobenius,
    local_linear, masks, query_penalty, query_work, reweight, sink_key, step_work,
};
use crate::{Kernels, Limits, Plan, PlanError, Scratch, ShapeClass, Source, Step};

/// How many (batch entry, head) pairs share one matrix of the score bias.
pub(super) fn sharers(a: &Attention, shared: ScoreBias) -> u64 {
    let entries = if shared.per_batch { 1 } else { a.dims.batch };
    let heads = if shared.per_head { 1 } else { a.dims.q_heads };
    (entries * heads) as u64
}

/// Turns work by query head into work by matrix of the score bias, `groups` workgroups each, that writes `d_score_bias`.
pub(super) fn by_bias_matrix<O: Op>(work: &mut Work, op: &O, a: &Attention, shared: ScoreBias, groups: u64) {
    let d = &a.dims;
    let parts = Parts { a, q_heads: d.group() as u64 };
    work.parted.push(Parted { operand: "d_score_bias", ..parts.score_bias(operand_bytes(op, "d_score_bias")) });
    let matrices = if shared.per_batch { d.batch } else { 1 } * if shared.per_head { d.q_heads } else { 1 };
    if shared.per_batch && shared.per_head {
        work.groups_per_unit = d.group() as u64 * groups;
    } else {
        work.divisible = false;
        work.units = matrices as u64;
        work.groups_per_unit = groups;
    }
}

/// The kernels whose tiles may be chosen.
const STAGES: [Stage; 2] = [Stage::BackwardQuery, Stage::BackwardKeyValue];

/// What the planning of one gradient shares.
pub(super) struct Planner<'a> {
    pub(super) op: &'a AttentionBackward,
    pub(super) limits: &'a Limits,
    pub(super) layout: Layout,
    pub(super) steps: Vec<Step>,
    pub(super) reasons: Vec<String>,
}

impl Kernels for AttentionBackward {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let a = &self.forward;
        check_features(a, limits)?;
        if !a.is_core() {
            return dressed::backward(self, limits);
        }
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        if a.dims.batch == 0 || a.dims.seq_q == 0 {
            plan.reasons.push("no queries: every gradient is 0, nothing to run".into());
            return Ok(plan);
        }
        let mut p =
            Planner { op: self, limits, layout: Layout::new(&self.operands()), steps: Vec::new(), reasons: Vec::new() };
        p.reserve_rows();
        let exact = a.nan_policy == NanPolicy::Exact;
        if exact {
            reserve_flags(a, &mut p.layout);
            p.steps = Marks { a, op: self, limits, layout: &p.layout }.scans(true)?;
            p.reasons.push("scan and mark: NanPolicy::Exact follows values that are not finite".into());
        }
        p.steps.extend(masks::document_ranges(a, &p.layout, limits)?);
        p.steps.extend(query_penalty::forward(a, self, &p.layout, limits)?);
        p.steps.extend(sink_key::forward(a, self, &p.layout, limits)?);
        p.row_statistics()?;
        p.levels()?;
        plan.scratch.extend(p.pairs()?);
        if exact {
            let marked = p.marked()?;
            p.steps.extend(marked);
        }
        p.steps.extend(query_penalty::backward(a, self, &p.layout, limits)?);
        let (steps, scratch) = sink_key::backward(a, self, &p.layout, limits)?;
        p.steps.extend(steps);
        plan.scratch.extend(scratch);
        p.reductions()?;
        plan.scratch.extend(p.relative_table()?);
        let (side, packed) = p.layout.finish(limits)?;
        plan.scratch.push(side);
        plan.packed = packed;
        custom::check_names(&p.steps)?;
        plan.rounds_rows = query_penalty::rounds(a) | sink_key::rounds(a);
        plan.steps = if plan.rounds_rows { dressed::saturated(p.steps, a.dtype).collect() } else { p.steps };
        plan.reasons = p.reasons;
        Ok(plan)
    }

    fn classes(&self, limits: &Limits) -> Vec<ShapeClass> {
        if self.forward.local_linear {
            return local_linear::classes(&self.forward, limits);
        }
        let class = |stage| Wanted { a: &self.forward, stage }.class(limits);
        let stages = if self.forward.dims.seq_kv > 0 { &STAGES[..] } else { &STAGES[..1] };
        stages.iter().filter_map(|&stage| class(stage)).collect()
    }

    fn trial(&self) -> Option<Self> {
        Some(Self::new(classes::trial(&self.forward)))
    }
}

impl Planner<'_> {
    /// The kernels over pairs of queries and keys, and the scratch that they need.
    fn pairs(&mut self) -> Result<Vec<Scratch>, PlanError> {
        self.query()?;
        if self.op.forward.dims.seq_kv == 0 {
            return Ok(Vec::new());
        }
        self.key_value()?;
        self.score_bias()?;
        self.diagonals()
    }

    /// The steps that mark what depends on a value that is not finite.
    fn marked(&self) -> Result<Vec<Step>, PlanError> {
        let a = &self.op.forward;
        let marks = Marks { a, op: self.op, limits: self.limits, layout: &self.layout };
        let mut steps = vec![marks.queries(true, None)?];
        if a.dims.seq_kv > 0 {
            steps.push(marks.keys()?);
            steps.extend(a.score_bias.map(|shared| marks.score_bias(shared)).transpose()?);
            steps.extend(a.relative_bias.map(|_| marks.diagonals()).transpose()?);
        }
        Ok(steps)
    }

    /// Whether the d_q kernel must leave sums of dz per row.
    fn sums_rows(&self) -> bool {
        let a = &self.op.forward;
        a.head_bias || a.alibi || self.op.d_bias || a.prologue.query_penalty.is_some()
    }

    fn reserve_rows(&mut self) {
        let a = &self.op.forward;
        if a.has_row_statistics() {
            self.layout.reserve("lse_at", row_count(a));
            self.layout.reserve("delta_at", row_count(a));
        }
        reweight::reserve(a, &mut self.layout);
        local_linear::reserve(a, &mut self.layout);
        if a.reweight.is_some() {
            self.layout.reserve("levels_at", row_count(a));
        }
        frobenius::reserve(a, &mut self.layout);
        query_penalty::reserve(a, &mut self.layout);
        sink_key::reserve(a, &mut self.layout);
        if self.sums_rows() {
            self.layout.reserve("row_sums_at", 2 * row_count(a));
        }
        masks::reserve_ranges(a, &mut self.layout);
        if a.key_bias {
            self.layout.reserve("key_sums_at", key_count(a) * a.dims.kv_heads as u64);
        }
    }

    /// Products of queries, or slopes, with keys; as many gradients of scores are accumulated.
    fn products(&self) -> u32 {
        if self.op.forward.local_linear { 2 } else { 1 }
    }

    /// The step of `d_q`, and of `d_r` if there are slopes.
    fn query(&mut self) -> Result<(), PlanError> {
        let a = &self.op.forward;
        let d = &a.dims;
        let (tile, why) = local_linear::query_tile(a, self.limits)?;
        self.reasons.extend(why);
        let count = self.products();
        let operands = [("d_o", "o_shift", d.val_dim), ("d_q", "q_shift", d.head_dim), ("d_r", "q_shift", d.head_dim)]
            .map(|(name, shift, width)| QueryOperand { name, shift, width, dtype: a.dtype });
        let operands = &operands[..1 + count as usize];
        let mut work = query_work(a, self.op, "attention_backward_query", &tile, self.limits, operands);
        let products = u64::from(count) * tile.product_trips(d.head_dim) + tile.product_trips(d.val_dim);
        let sums = u64::from(count) * tile.accumulate_trips();
        work.step_trips = 1 + products + sums + masks::tile_trips(a, &tile, 1);
        work.step_work = step_work(&tile, 2 * count as usize * d.head_dim + d.val_dim);
        let sum_state = if self.sums_rows() { 2 } else { 0 };
        let state = tile.own * (4 * count * tile.width4 + sum_state);
        let mut variant = Variant::new("attention_backward_query", a);
        variant.slot(files::sums(self.sums_rows(), false));
        self.tile_step(work, variant, true, &tile, state)
    }

    /// The step of `d_k` and `d_v`.
    fn key_value(&mut self) -> Result<(), PlanError> {
        let a = &self.op.forward;
        let d = &a.dims;
        let (tile, why) = Wanted { a, stage: Stage::BackwardKeyValue }.tile(self.limits)?;
        // The first reason is that of the schedule, and the d_q kernel's too.
        self.reasons.extend(why.into_iter().skip(1));
        let group = d.group() as u64;
        let operands = [QueryOperand { name: "d_o", shift: "o_shift", width: d.val_dim, dtype: a.dtype }];
        let mut work = query_work(a, self.op, "attention_backward_key_value", &tile, self.limits, &operands);
        let parts = Parts { a, q_heads: group };
        work.parted.push(parts.key("d_k", "k_shift", d.head_dim, operand_bytes(self.op, "d_k")));
        work.parted.push(parts.key("d_v", "v_shift", d.val_dim, operand_bytes(self.op, "d_v")));
        work.groups_per_unit = (d.seq_kv as u64).div_ceil(tile.tile_own().into());
        work.stream = d.seq_q as u64;
        let count = self.products();
        let products = u64::from(count) * tile.product_trips(d.head_dim) + tile.product_trips(d.val_dim);
        let sums = u64::from(1 + count) * tile.accumulate_trips();
        work.step_trips = group * (2 + products + sums + masks::tile_trips(a, &tile, 1));
        work.step_work = group as f64 * step_work(&tile, 2 * (count as usize * d.head_dim + d.val_dim));
        let state = tile.own * (8 * tile.width4 + u32::from(a.key_bias));
        let mut variant = Variant::new("attention_backward_key_value", a);
        variant.slot(files::sums(false, a.key_bias));
        self.tile_step(work, variant, false, &tile, state)
    }

    /// Plans a kernel whose accumulators may have to wait between dispatches.
    fn tile_step(
        &mut self,
        work: Work,
        mut variant: Variant,
        by_query: bool,
        tile: &Tile,
        state: u32,
    ) -> Result<(), PlanError> {
        let a = &self.op.forward;
        let (split, layout) = work.split_waiting(a, (&self.layout, state), tile, self.limits)?;
        let passes = split.passes;
        if passes > 1 {
            self.reasons.push(format!("carry: {} is cut into {passes} dispatches, by loop trips or time", work.kernel));
        }
        self.layout.grow_to(&layout);
        let (kernel, access) = local_linear::backward(a, by_query);
        variant.tile_slots(a, access, tile);
        variant.slots(files::weight(a));
        if a.local_linear {
            variant.slots.extend(local_linear::store(a));
        } else {
            variant.slots(dropout::files(a, false));
        }
        variant.slot(files::carry(passes > 1, tile));
        let of_kernel = if by_query { loops::backward_query } else { loops::backward_key_value };
        self.steps.push(Step { loops: of_kernel(a, tile, passes), ..variant.step(a, kernel, tile, state, split) });
        Ok(())
    }

    fn score_bias(&mut self) -> Result<(), PlanError> {
        let a = &self.op.forward;
        let Some(shared) = a.score_bias else { return Ok(()) };
        let d = &a.dims;
        let (tile, _) = Tile::choose(Stage::BackwardScoreBias, 1, d.seq_q, self.limits)?;
        let operands = [QueryOperand { name: "d_o", shift: "o_shift", width: d.val_dim, dtype: a.dtype }];
        let mut work = query_work(a, self.op, "attention_backward_score_bias", &tile, self.limits, &operands);
        let tiles =
            (d.seq_q as u64).div_ceil(tile.tile_own().into()) * (d.seq_kv as u64).div_ceil(tile.tile_stream().into());
        by_bias_matrix(&mut work, self.op, a, shared, tiles);
        work.stream = sharers(a, shared);
        work.visited = u64::MAX;
        work.stream_step = 1;
        work.step_trips = 1 + tile.product_trips(d.head_dim) + tile.product_trips(d.val_dim);
        work.step_work = step_work(&tile, d.head_dim + d.val_dim);
        let split = work.split(&Members::new(a, &self.layout), self.limits)?;
        let mut variant = Variant::new("attention_backward_score_bias", a);
        variant.tile_slots(a, files::ACCESS_BY_QUERY, &tile);
        variant.slots(files::weight(a));
        variant.slots(dropout::files(a, false));
        variant.slots.push(files::PAIR_GRADIENTS);
        let loops = loops::backward_score_bias(a, &tile, work.stream);
        self.steps.push(Step { loops, ..variant.step(a, files::BACKWARD_SCORE_BIAS, &tile, 0, split) });
        Ok(())
    }

    fn reductions(&mut self) -> Result<(), PlanError> {
        let a = &self.op.forward;
        let heads = a.dims.q_heads as u64;
        let rows = row_count(a);
        if a.head_bias {
            self.reduce_rows("d_head_bias", heads, rows / heads)?;
        }
        if a.alibi {
            self.reduce_rows("d_alibi_slopes", heads, rows / heads)?;
        }
        if a.sink {
            self.reduce_rows("d_sink", heads, rows / heads)?;
        }
        if a.normalizer.of_head().is_some() {
            self.reduce_rows("d_rho", heads, a.dims.batch as u64)?;
        }
        if self.op.d_bias {
            self.reduce_rows("d_bias", 1, rows)?;
        }
        if a.key_bias && a.dims.seq_kv > 0 {
            self.reduce_keys()?;
        }
        Ok(())
    }

    fn reduce_rows(&mut self, output: &'static str, targets: u64, rows: u64) -> Result<(), PlanError> {
        let work =
            Work { stream_step: FLAT.into(), fixed_trips: 8, ..Work::flat("attention_reduce_rows", targets, rows) };
        self.reduce(&work, files::REDUCE_ROWS, Some(files::reduction(output)), output)
    }

    fn reduce_keys(&mut self) -> Result<(), PlanError> {
        let a = &self.op.forward;
        let keys = key_count(a);
        let kv_heads = a.dims.kv_heads as u64;
        let elements = if a.key_bias_per_head { keys * kv_heads } else { keys };
        let kernel = if a.key_bias_per_head { "attention_reduce_keys.per_head" } else { "attention_reduce_keys" };
        let flat = Work::flat(kernel, elements.div_ceil(FLAT.into()), elements);
        let work = Work { step_trips: kv_heads, step_work: 1.0, ..flat };
        self.reduce(&work, files::REDUCE_KEYS, Some(files::reduction_keys(a)), "d_key_bias")
    }

    fn reduce(&mut self, work: &Work, kernel: Source, slot: Option<Source>, output: &str) -> Result<(), PlanError> {
        let split = work.split(&Members::new(&self.op.forward, &self.layout), self.limits)?;
        let slots = [files::SHAPE].into_iter().chain(slot).collect();
        self.steps.push(flat_step(format!("{}.{output}", work.kernel), (kernel, slots), None, split));
        Ok(())
    }
}
