//! The plan of the gradients of weights by expert: a table of experts, the product over the rows of each, and the sums of those rows.

use std::ops::Range;

use gatefold_core::{Dtype, Gemm, GroupedGemmWeights, Op};

use super::super::SIDE;
use super::bias;
use super::{Entries, Product, Shape, Table, Tile, choose, chunks, count, group_terms, group_words, times};
use crate::plan::check_dispatches;
use crate::spans::check_bindings;
use crate::{Dispatch, Kernels, Limits, Param, Plan, PlanError, Scratch};

pub(super) const RANKS: &str = "ranks";

/// What it costs a workgroup to store its tile, in terms.
const STORE_TERMS: u64 = 16;

/// The gradients on an adapter.
struct Job<'a> {
    op: &'a GroupedGemmWeights,
    tile: &'a Tile,
    /// How operands are stored: as those of this dense product.
    stored: &'a Gemm,
    limits: &'a Limits,
}

/// How the work is cut.
struct Cut {
    /// Ranges of rows, one per pass.
    spans: Vec<Range<u64>>,
    /// Tiles of an expert in a dispatch.
    tiles: u64,
}

impl Job<'_> {
    fn tiles(&self) -> [u64; 2] {
        let tiles = |size: usize, tile: u32| (size as u64).div_ceil(tile.into());
        [tiles(self.stored.m, self.tile.tile_rows()), tiles(self.stored.n, self.tile.tile_cols())]
    }

    /// Terms of a workgroup that a dispatch has time for.
    fn most_terms(&self) -> u64 {
        times(group_terms(self.tile), self.limits)
    }

    /// A dispatch adds the rows of its range once, whoever has them. Rows are cut if a dispatch of all rows would have too few workgroups: one
    /// whose expert has no rows in a range costs a little too.
    fn cut(&self) -> Result<Cut, PlanError> {
        self.limits.check_time("grouped_product_weights", group_terms(self.tile) * f64::from(self.tile.depth))?;
        let (depth, rows) = (u64::from(self.tile.depth), self.op.rows as u64);
        let all = self.tiles()[0] * self.tiles()[1];
        let most_terms = self.most_terms();
        let few = self.limits.busy_groups.div_ceil(self.op.experts as u64);
        let tiles = (most_terms / rows.max(1)).max(few).min(most_terms / depth).clamp(1, all);
        let span = (most_terms / tiles / depth).clamp(1, self.limits.loop_trips.max(1)) * depth;
        let passes = rows.div_ceil(span).max(1);
        let spans = (0..passes).map(|i| i * span..(i * span + span).min(rows)).collect();
        if passes == 1 {
            return Ok(Cut { spans, tiles });
        }
        match self.limits.binding_bytes / 4 / (2 * group_words(self.tile)) {
            0 => {
                let (need, have) = (8 * group_words(self.tile), self.limits.binding_bytes);
                Err(PlanError::TooLarge { operand: SIDE.into(), need, have })
            }
            waiting => Ok(Cut { spans, tiles: tiles.min(waiting) }),
        }
    }

    fn params(&self, tiles: &Range<u64>, pass: usize, span: &Range<u64>) -> Vec<(&'static str, Param)> {
        let (op, unit) = (self.op, super::files::Access::of(self.stored).unit());
        let [m, n, rows] = [self.stored.m, self.stored.n, self.stored.k].map(|n| n as u64);
        let last = |width: u64| count((rows * width / unit).saturating_sub(1));
        let [tiles_m, tiles_n] = self.tiles();
        vec![
            ("first_tile", count(tiles.start)),
            ("tile_count", count(tiles.end - tiles.start)),
            ("experts", count(op.experts as u64)),
            ("rows", count(rows)),
            ("row_from", count(span.start)),
            ("row_to", count(span.end)),
            ("range", count(pass as u64)),
            ("tiles_m", count(tiles_m)),
            ("tiles_n", count(tiles_n)),
            ("m_to", count(m)),
            ("n_to", count(n)),
            ("n", count(n)),
            ("a_row", count(m / unit)),
            ("b_row", count(n / unit)),
            ("c_matrix", count(m * n)),
            ("a_last", last(m)),
            ("b_last", last(n)),
            ("alpha", Param::F32(1.0)),
            ("state_at", count(0)),
        ]
    }

    fn dispatches(&self, cut: &Cut) -> Result<Vec<Dispatch>, PlanError> {
        let all = self.tiles()[0] * self.tiles()[1];
        // By time, each may have a tile of zeros to store.
        let stores = (self.most_terms() / STORE_TERMS).max(1);
        let most = stores.min(u64::from(self.limits.groups_per_dim).pow(2));
        let groups = (self.op.experts as u64).saturating_mul(all);
        let count = all.div_ceil(cut.tiles).saturating_add(groups / most);
        check_dispatches(count.saturating_mul(cut.spans.len() as u64))?;
        let mut dispatches = Vec::new();
        for first in (0..all.div_ceil(cut.tiles)).map(|i| i * cut.tiles) {
            let tiles = first..(first + cut.tiles).min(all);
            let groups = self.op.experts as u64 * (tiles.end - tiles.start);
            for (pass, span) in cut.spans.iter().enumerate() {
                dispatches.extend(chunks(groups, most, self.limits, &self.params(&tiles, pass, span))?);
            }
        }
        Ok(dispatches)
    }
}

impl Kernels for GroupedGemmWeights {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        if self.dtype == Dtype::F16 && !limits.f16 {
            return Err(PlanError::Feature { operand: "x, d_y in f16".into(), feature: "shader-f16" });
        }
        check_bindings(&self.operands(), limits)?;
        let (m, n) = if self.transpose_w { (self.n, self.k) } else { (self.k, self.n) };
        let stored = Gemm { transpose_a: true, dtype: self.dtype, ..Gemm::new(m, n, self.rows) };
        let tile = choose(self.dtype, limits, &mut plan, |tile, least| {
            (self.experts as u64).saturating_mul(tile.count(m as u64, n as u64)) >= least
        })?;
        let sums = self.bias.then(|| bias::Sums::of(self));
        let tile_rows = sums.as_ref().map_or(1, bias::Sums::tile_rows);
        let ranks = Table { name: RANKS, entries: Entries::Experts, experts: self.experts, rows: self.rows, tile_rows };
        ranks.add(&mut plan, limits)?;
        let job = Job { op: self, tile: &tile, stored: &stored, limits };
        let cut = job.cut()?;
        let passes = cut.spans.len();
        if passes > 1 {
            plan.reasons.push(format!("sums wait in side: {passes} ranges of rows, by loop trips or time"));
            plan.scratch.push(Scratch { name: SIDE, bytes: 8 * cut.tiles * group_words(&tile) });
        }
        let product = Product {
            tile: &tile,
            shape: Shape::GroupedWeights,
            stored: &stored,
            passes,
            terms: cut.spans.first().map_or(0, |s| s.end - s.start),
            mean_terms: self.rows / self.experts,
        };
        // d_bias is another step's.
        let label = Self { bias: false, ..self.clone() }.label();
        let mut step = product.step(Self::NAME, &label, limits)?;
        let (a, b) = if self.transpose_w { ("d_y", "x") } else { ("x", "d_y") };
        step.binds = vec![("a", a), ("b", b), ("c", "d_w")];
        step.dispatches = job.dispatches(&cut)?;
        plan.steps.push(step);
        if let Some(sums) = sums {
            sums.add(&mut plan, limits)?;
        }
        Ok(plan)
    }
}
