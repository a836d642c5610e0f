//! The plan of products by expert: a table of tiles of rows, then the product.

use std::ops::Range;

use gatefold_core::{Dtype, Gemm, GroupedGemm, Op};

use super::super::SIDE;
use super::{
    Entries, Product, Shape, Table, Tile, choose, chunks, count, group_terms, group_words, most_groups, times,
};
use crate::plan::check_dispatches;
use crate::spans::check_bindings;
use crate::{Dispatch, Kernels, Limits, Param, Plan, PlanError, Scratch};

const TILES: &str = "tiles";

/// Tiles of rows that an expert is to have on average, before tiles of so many rows are taken: the last one of each is half empty.
const LEAST_TILES: u64 = 2;

/// A product on an adapter.
struct Job<'a> {
    op: &'a GroupedGemm,
    tile: &'a Tile,
    table: Table,
    /// How operands are stored: as those of this dense product.
    stored: &'a Gemm,
    limits: &'a Limits,
}

impl Job<'_> {
    fn tiles_n(&self) -> u64 {
        (self.op.n as u64).div_ceil(self.tile.tile_cols().into())
    }

    /// Ranges of terms, one per pass: within the loop trips and the time of a dispatch.
    fn spans(&self) -> Vec<Range<u64>> {
        let depth = u64::from(self.tile.depth);
        let steps = times(group_terms(self.tile) * depth as f64, self.limits).min(self.limits.loop_trips).max(1);
        let (k, span) = (self.op.k as u64, steps * depth);
        (0..k.div_ceil(span)).map(|i| i * span..(i * span + span).min(k)).collect()
    }

    /// Workgroups of one dispatch: by time, and by the sums that wait.
    fn most_groups(&self, spans: &[Range<u64>]) -> Result<u64, PlanError> {
        let terms = spans.first().map_or(1, |s| s.end - s.start);
        let work = group_terms(self.tile) * terms as f64;
        self.limits.check_time("grouped_product", work)?;
        let most = most_groups(work, self.limits);
        if spans.len() < 2 {
            return Ok(most);
        }
        match self.limits.binding_bytes / 4 / group_words(self.tile) {
            0 => {
                let (need, have) = (4 * group_words(self.tile), self.limits.binding_bytes);
                Err(PlanError::TooLarge { operand: SIDE.into(), need, have })
            }
            waiting => Ok(most.min(waiting)),
        }
    }

    fn params(&self, span: &Range<u64>) -> Vec<(&'static str, Param)> {
        let (op, unit) = (self.op, super::files::Access::of(self.stored).unit());
        let [_, _, b_row] = self.stored.b_dims().map(|n| n as u64);
        let last = |elements: u64| count((elements / unit).saturating_sub(1));
        let matrix = (op.n * op.k) as u64;
        vec![
            ("experts", count(op.experts as u64)),
            ("tiles_m", count(self.table.len())),
            ("tiles_n", count(self.tiles_n())),
            ("m_to", count(op.rows as u64)),
            ("n_to", count(op.n as u64)),
            ("n", count(op.n as u64)),
            ("k_from", count(span.start)),
            ("k_to", count(span.end)),
            ("k", count(op.k as u64)),
            ("a_row", count(op.k as u64 / unit)),
            ("b_row", count(b_row / unit)),
            ("b_matrix", count(matrix / unit)),
            ("a_last", last((op.rows * op.k) as u64)),
            ("b_last", last(op.experts as u64 * matrix)),
            ("alpha", Param::F32(1.0)),
            ("state_at", count(0)),
        ]
    }

    /// Dispatches, chunk by chunk and within one term by term, and the bytes of the sums that wait.
    fn dispatches(&self, spans: &[Range<u64>]) -> Result<(Vec<Dispatch>, u64), PlanError> {
        let groups = self.table.len() * self.tiles_n();
        let most = self.most_groups(spans)?;
        check_dispatches(groups.div_ceil(most.max(1)).saturating_mul(spans.len() as u64))?;
        let by_span: Vec<_> =
            spans.iter().map(|span| chunks(groups, most, self.limits, &self.params(span))).collect::<Result<_, _>>()?;
        let count = by_span.first().map_or(0, Vec::len);
        let all = (0..count).flat_map(|at| by_span.iter().map(move |chunks| chunks[at].clone())).collect();
        Ok((all, if spans.len() > 1 { 4 * most.min(groups) * group_words(self.tile) } else { 0 }))
    }
}

impl Kernels for GroupedGemm {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        if self.rows == 0 {
            plan.reasons.push("no rows: nothing to run".into());
            return Ok(plan);
        }
        if self.dtype == Dtype::F16 && !limits.f16 {
            return Err(PlanError::Feature { operand: "x, w in f16".into(), feature: "shader-f16" });
        }
        check_bindings(&self.operands(), limits)?;
        let (experts, rows, n) = (self.experts as u64, self.rows as u64, self.n as u64);
        let tile = choose(self.dtype, limits, &mut plan, |tile, least| {
            tile.count(rows, n) >= least && rows >= LEAST_TILES * experts * u64::from(tile.tile_rows())
        })?;
        let tile_rows = tile.tile_rows().into();
        let table = Table { name: TILES, entries: Entries::Rows, experts: self.experts, rows: self.rows, tile_rows };
        plan.reasons.push(format!("tiles of {tile_rows} rows: an expert has {} on average", rows / experts));
        table.add(&mut plan, limits)?;
        let stored = Gemm { dtype: self.dtype, transpose_b: self.transpose_w, ..Gemm::new(self.rows, self.n, self.k) };
        let job = Job { op: self, tile: &tile, table, stored: &stored, limits };
        let spans = job.spans();
        let (dispatches, side_bytes) = job.dispatches(&spans)?;
        if spans.len() > 1 {
            plan.reasons.push(format!("sums wait in side: {} dispatches, by loop trips or time", spans.len()));
            plan.scratch.push(Scratch { name: SIDE, bytes: side_bytes });
        }
        let product = Product {
            tile: &tile,
            shape: Shape::Grouped { bias: self.bias },
            stored: &stored,
            passes: spans.len(),
            terms: spans.first().map_or(0, |s| s.end - s.start),
            mean_terms: self.k,
        };
        let mut step = product.step(Self::NAME, &self.label(), limits)?;
        step.binds = vec![("a", "x"), ("b", "w"), ("c", "y")];
        step.dispatches = dispatches;
        plan.steps.push(step);
        Ok(plan)
    }
}
