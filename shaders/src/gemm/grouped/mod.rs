//! Products by expert: rows that lie expert by expert, and the gradients of the weights.
//!
//! A first step turns the offsets into a table of what workgroups of the product own; its size follows from the spec, and workgroups whose entry
//! has no rows return at once. The product itself is that of `gemm`, with another `shape` slot.

mod bias;
mod rows;
#[cfg(test)]
mod tests;
mod weights;

use gatefold_core::{Dtype, Gemm};

use super::files::{self, Layout, Shape};
use super::matrix::MatrixTile;
use super::tiles::{Schedule, Tile};
use crate::plan::{check_dispatches, narrow, wgsl_type};
use crate::source::wgsl;
use crate::spans::INVOCATIONS;
use crate::{Dispatch, Limits, Param, Plan, PlanError, Scratch, Source, Step, fold_groups};

/// Bytes of an entry of a table.
const ENTRY_BYTES: u64 = 16;
/// Entries that an invocation of the table's kernel fills.
const SHARES: u32 = 4;
/// Segments are a multiple of this: few variants for many counts of experts.
const SEGMENT_STEP: u32 = 256;
/// Halvings that leave one of the most segments that there are.
const HALVINGS: u32 = 11;

/// What the entries of a table are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entries {
    /// Tiles of rows.
    Rows,
    /// Experts, those of most rows first.
    Experts,
}

/// A table that is made from offsets.
#[derive(Debug, Clone, Copy)]
struct Table {
    /// Name of its scratch.
    name: &'static str,
    entries: Entries,
    experts: usize,
    rows: usize,
    /// Most rows of a tile.
    tile_rows: u64,
}

impl Table {
    /// Count of entries: the most that there may be. Tiles of segments of together `rows` rows, those of no expert before and after included,
    /// are `Σ ceil(rows of a segment / tile_rows)`, and no segment without rows has any.
    fn len(&self) -> u64 {
        let (experts, rows) = (self.experts as u64, self.rows as u64);
        match self.entries {
            Entries::Experts => experts,
            Entries::Rows => ((rows + (experts + 2).min(rows) * (self.tile_rows - 1)) / self.tile_rows).max(1),
        }
    }

    /// Segments of an invocation: those of experts, one before and one after, and the end.
    fn chunk(&self) -> u32 {
        narrow(self.experts as u64 + 3).next_multiple_of(SEGMENT_STEP) / INVOCATIONS
    }

    fn trips(&self) -> u64 {
        let fill = match self.entries {
            Entries::Rows => HALVINGS.into(),
            Entries::Experts => self.experts as u64,
        };
        4 * u64::from(self.chunk()) + 2 * u64::from(INVOCATIONS) + u64::from(SHARES) * (fill + 1)
    }

    /// Adds the scratch and the step that fills it.
    fn add(&self, plan: &mut Plan, limits: &Limits) -> Result<(), PlanError> {
        let bytes = ENTRY_BYTES * self.len();
        if bytes > limits.binding_bytes {
            return Err(PlanError::TooLarge { operand: self.name.into(), need: bytes, have: limits.binding_bytes });
        }
        if self.trips() > limits.loop_trips {
            let (need, have) = (self.trips(), limits.loop_trips);
            return Err(PlanError::Limit { kernel: "grouped_tiles".into(), limit: "loop trips", need, have });
        }
        let segments = self.chunk() * INVOCATIONS;
        let memory = 4 * (2 * segments + INVOCATIONS);
        if memory > limits.workgroup_memory {
            let (need, have) = (memory.into(), limits.workgroup_memory.into());
            let limit = "bytes of workgroup memory";
            return Err(PlanError::Limit { kernel: "grouped_tiles".into(), limit, need, have });
        }
        let (name, entries) = match self.entries {
            Entries::Rows => ("rows", wgsl!("gemm/grouped/entries/rows.wgsl")),
            Entries::Experts => ("experts", wgsl!("gemm/grouped/entries/experts.wgsl")),
        };
        plan.scratch.push(Scratch { name: self.name, bytes });
        let mut step = plain_step(format!("grouped_tiles.{name}.segments{segments}"), wgsl!("gemm/grouped/tiles.wgsl"));
        step.slots = vec![entries];
        step.consts.extend([("CHUNK", self.chunk()), ("SEGMENTS", segments), ("SHARES", SHARES)]);
        if self.entries == Entries::Rows {
            step.consts.push(("HALVINGS", HALVINGS));
        }
        step.binds = vec![("table", self.name)];
        step.trips = self.trips();
        let groups = self.len().div_ceil(u64::from(SHARES * INVOCATIONS));
        let work = 4.0 * f64::from(INVOCATIONS) * self.trips() as f64;
        let own = [
            ("experts", count(self.experts as u64)),
            ("rows", count(self.rows as u64)),
            ("tile_rows", count(self.tile_rows)),
            ("entries", count(self.len())),
        ];
        step.dispatches = chunks(groups, most_groups(work, limits), limits, &own)?;
        plan.steps.push(step);
        Ok(())
    }
}

/// A step of a kernel in f32 without subgroup operations, one element or entry an invocation.
fn plain_step(name: String, kernel: Source) -> Step {
    Step { consts: vec![("INVOCATIONS", INVOCATIONS)], ..Step::plain(name, kernel, Vec::new()) }
}

fn count(n: u64) -> Param {
    Param::U32(narrow(n))
}

/// How often a dispatch may do what costs `work` multiply-adds.
fn times(work: f64, limits: &Limits) -> u64 {
    limits.units_in_time(work)
}

/// Workgroups of a dispatch that cost `work` multiply-adds each.
fn most_groups(work: f64, limits: &Limits) -> u64 {
    times(work, limits).min(u64::from(limits.groups_per_dim).pow(2))
}

/// Dispatches over `groups` workgroups, at most `most` each. Every one sets `first_group` and `group_count`, and after them `params`.
fn chunks(
    groups: u64,
    most: u64,
    limits: &Limits,
    params: &[(&'static str, Param)],
) -> Result<Vec<Dispatch>, PlanError> {
    check_dispatches(groups.div_ceil(most))?;
    let dispatch = |first: u64| {
        let these = most.min(groups - first);
        let own = [("first_group", count(first)), ("group_count", count(these))];
        Dispatch {
            grid: fold_groups(these, limits.groups_per_dim),
            params: own.into_iter().chain(params.iter().copied()).collect(),
            windows: Vec::new(),
        }
    };
    Ok((0..groups.div_ceil(most)).map(|n| dispatch(n * most)).collect())
}

/// A product, whose dispatches are to be set.
struct Product<'a> {
    tile: &'a Tile,
    shape: Shape,
    /// How operands are stored: as those of this dense product.
    stored: &'a Gemm,
    /// Dispatches that the terms of a sum are cut into.
    passes: usize,
    /// Most terms of one of them.
    terms: u64,
    /// Terms of a sum on average: what machine code is weighed with.
    mean_terms: usize,
}

impl Product<'_> {
    fn step(&self, op: &'static str, label: &str, limits: &Limits) -> Result<Step, PlanError> {
        let storage = 4 + u32::from(self.shape == Shape::Grouped { bias: true }) + u32::from(self.passes > 1);
        if storage > limits.storage_buffers {
            let (need, have) = (storage.into(), limits.storage_buffers.into());
            return Err(PlanError::Limit { kernel: op.into(), limit: "storage buffers", need, have });
        }
        let Self { tile, stored, passes, .. } = *self;
        let layout = Layout::of(stored);
        let carry = if passes > 1 { ".carry" } else { "" };
        Ok(Step {
            slots: files::slots(self.shape, layout, tile.schedule, passes),
            consts: tile.consts(),
            aliases: std::iter::once(("Elem", wgsl_type(stored.dtype))).chain(tile.aliases()).collect(),
            f16: stored.dtype == Dtype::F16,
            subgroups: tile.schedule == Schedule::Lanes,
            matrix: matches!(tile.schedule, Schedule::Matrix(_)),
            trips: self.terms.div_ceil(tile.depth.into()),
            loops: tile.loops(self.mean_terms, passes),
            ..Step::plain(
                format!("{op}.{label}{carry}.{}.{}", layout.access.name(), tile.name()),
                files::PRODUCT,
                Vec::new(),
            )
        })
    }
}

/// The first tile that is `enough`, of matrix units where they can be used.
fn choose(
    dtype: Dtype,
    limits: &Limits,
    plan: &mut Plan,
    enough: impl Fn(&Tile, u64) -> bool,
) -> Result<Tile, PlanError> {
    match MatrixTile::first(dtype, limits, &enough) {
        Ok(tile) => {
            plan.reasons.push("matrix: the adapter's matrix units passed their test".into());
            Ok(tile)
        }
        Err(why) => {
            let (tile, taken) = Tile::first(limits, &enough)?;
            plan.reasons.extend([taken, format!("no matrix units: {why}")]);
            Ok(tile)
        }
    }
}

/// Multiply-adds of a workgroup for one term.
fn group_terms(tile: &Tile) -> f64 {
    f64::from(tile.tile_rows()) * f64::from(tile.tile_cols())
}

/// Words of the sums of a workgroup.
fn group_words(tile: &Tile) -> u64 {
    u64::from(tile.invocations()) * u64::from(tile.state_words())
}
