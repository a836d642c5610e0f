//! The sums of an expert's rows: by tile of rows, then by expert, so that no invocation adds more than about twice the root of all rows.

use gatefold_core::{Dtype, GroupedGemmWeights};

use super::weights::RANKS;
use super::{Entries, Table, chunks, count, most_groups, plain_step};
use crate::plan::wgsl_type;
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, dispatches};
use crate::{Limits, Plan, PlanError, Scratch};

const TILES: &str = "bias_tiles";
const PARTS: &str = "bias_parts";

/// Fewest rows of a tile.
const LEAST_ROWS: u64 = 64;

/// Multiply-adds that reading a row's element costs.
const READ_WORK: f64 = 4.0;

/// The two steps.
pub(super) struct Sums<'a> {
    op: &'a GroupedGemmWeights,
    table: Table,
}

impl<'a> Sums<'a> {
    pub(super) fn of(op: &'a GroupedGemmWeights) -> Self {
        let tile_rows = (op.rows as u64).isqrt().next_power_of_two().max(LEAST_ROWS);
        let table = Table { name: TILES, entries: Entries::Rows, experts: op.experts, rows: op.rows, tile_rows };
        Self { op, table }
    }

    /// Rows of a tile, by which the table of experts says where an expert's tiles begin.
    pub(super) fn tile_rows(&self) -> u64 {
        self.table.tile_rows
    }

    /// Adds the steps and what they need.
    pub(super) fn add(&self, plan: &mut Plan, limits: &Limits) -> Result<(), PlanError> {
        let (op, tiles, tile_rows) = (self.op, self.table.len(), self.table.tile_rows);
        let (experts, rows, n) = (op.experts as u64, op.rows as u64, op.n as u64);
        self.table.add(plan, limits)?;
        let bytes = 4 * tiles * n;
        if bytes > limits.binding_bytes {
            return Err(PlanError::TooLarge { operand: PARTS.into(), need: bytes, have: limits.binding_bytes });
        }
        plan.scratch.push(Scratch { name: PARTS, bytes });
        // An expert of all rows has its own tiles only.
        let most = rows.div_ceil(tile_rows);
        let sizes = [("n", count(n)), ("tiles", count(tiles)), ("tile_rows", count(tile_rows))];

        let column_groups = n.div_ceil(INVOCATIONS.into());
        let mut parts = plain_step(format!("grouped_bias_parts.{}", op.dtype), wgsl!("gemm/grouped/bias_parts.wgsl"));
        (parts.aliases, parts.f16) = (vec![("Elem", wgsl_type(op.dtype))], op.dtype == Dtype::F16);
        parts.trips = tile_rows.min(rows);
        let own = [sizes[0], sizes[1], sizes[2], ("rows", count(rows)), ("column_groups", count(column_groups))];
        let work = READ_WORK * f64::from(INVOCATIONS) * tile_rows as f64;
        parts.dispatches = chunks(tiles * column_groups, most_groups(work, limits), limits, &own)?;

        let mut sum = plain_step("grouped_bias_sum".into(), wgsl!("gemm/grouped/bias_sum.wgsl"));
        sum.trips = most;
        let own = [sizes[0], sizes[1], sizes[2], ("experts", count(experts))];
        sum.dispatches = dispatches(experts * n, READ_WORK * most.max(1) as f64, limits, &own);
        plan.steps.extend([parts, sum]);
        plan.reasons.push(format!("d_bias by tiles of {tile_rows} rows, from the experts' entries of {RANKS}"));
        Ok(())
    }
}
