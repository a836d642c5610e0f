//! A bias by relative position: its gradient is summed along walks of tiles, then by diagonals, then by elements of the table.

use gatefold_core::Attention;

use super::backward::Planner;
use super::layout::{Layout, Members, operand_bytes};
use super::row_map::sized;
use super::split::{Parted, Work};
use super::tiles::{Stage, Tile};
use super::{FLAT, QueryOperand, Variant, dropout, files, flat_step, loops, query_work, step_work};
use crate::plan::narrow;
use crate::source::wgsl;
use crate::{Limits, PlanError, Scratch, Step};

const TILES: &str = "relative_tiles";
/// Sums by `j − i` of every batch entry and query head.
pub(super) const DIAGONALS: &str = "relative_diagonals";

/// Values of `j − i`.
pub(super) fn diagonals(a: &Attention) -> u64 {
    if a.dims.seq_kv == 0 { 0 } else { (a.dims.seq_q + a.dims.seq_kv - 1) as u64 }
}

pub(super) fn diagonal_bytes(a: &Attention) -> u64 {
    (a.dims.batch * a.dims.q_heads) as u64 * diagonals(a) * 4
}

/// Walks of tiles: steps of `length` queries, so that tiles of queries and of keys lie alike in all of them.
struct Walks {
    tile: Tile,
    length: u32,
    /// Keys before the first query from which the first walk begins.
    before: u64,
    /// Tiles of keys that a walk may begin with.
    count: u64,
}

impl Walks {
    fn of(a: &Attention, limits: &Limits) -> Result<Self, PlanError> {
        let (tile, _) = Tile::choose(Stage::BackwardScoreBias, 1, a.dims.seq_q, limits)?;
        let (own, stream) = (tile.tile_own(), tile.tile_stream());
        let length = (1..).map(|n| n * own).find(|n| n.is_multiple_of(stream)).unwrap_or(own * stream);
        let before = (a.dims.seq_q as u64 - 1).next_multiple_of(stream.into());
        let count = (before + a.dims.seq_kv as u64 + u64::from(length)).div_ceil(stream.into());
        Ok(Self { tile, length, before, count })
    }

    /// Workgroups a head.
    fn groups(&self) -> u64 {
        self.count * u64::from(self.length / self.tile.tile_own())
    }

    /// What a key/value head and its queries leave.
    fn part(&self, a: &Attention) -> Parted {
        let tile = u64::from(self.tile.tile_own() * self.tile.tile_stream());
        let unit_bytes = a.dims.group() as u64 * self.groups() * tile * 4;
        let bytes = (a.dims.batch * a.dims.kv_heads) as u64 * unit_bytes;
        Parted { operand: TILES, shift: "score_shift", bytes, unit_bytes, element: 4 }
    }

    fn members(&self, a: &Attention, layout: &Layout) -> Members {
        let mut members = Members::new(a, layout);
        members.set("relative_before", narrow(self.before));
        members.set("relative_walks", narrow(self.count));
        members
    }
}

impl Planner<'_> {
    /// The steps that sum the gradients of scores by `j − i`, and their scratch.
    pub(super) fn diagonals(&mut self) -> Result<Vec<Scratch>, PlanError> {
        let a = &self.op.forward;
        if a.relative_bias.is_none() {
            return Ok(Vec::new());
        }
        let walks = Walks::of(a, self.limits)?;
        self.walk(&walks)?;
        let group = a.dims.group() as u64;
        let tile = &walks.tile;
        let work = Work {
            groups_per_unit: group * diagonals(a).div_ceil(FLAT.into()),
            divisible: true,
            parted: vec![walks.part(a), Parted::whole(DIAGONALS, diagonal_bytes(a))],
            step_trips: walks.length.into(),
            step_work: f64::from(FLAT * walks.length),
            ..Work::flat("attention_relative_diagonals", (a.dims.batch * a.dims.kv_heads) as u64, 1)
        };
        let split = work.split(&walks.members(a, &self.layout), self.limits)?;
        let kernel = (wgsl!("attention/relative/diagonals.wgsl"), vec![files::SHAPE]);
        let name = format!("attention_relative_diagonals.{}", tile.name());
        let mut step = flat_step(name, kernel, None, split);
        step.consts.extend([("TILE_OWN", tile.tile_own()), ("TILE_STREAM", tile.tile_stream())]);
        step.consts.push(("WALK", walks.length));
        self.steps.push(step);
        Ok(vec![sized(TILES, walks.part(a).bytes)])
    }

    /// The step that sums along walks.
    fn walk(&mut self, walks: &Walks) -> Result<(), PlanError> {
        let a = &self.op.forward;
        let d = &a.dims;
        let tile = &walks.tile;
        let operands = [QueryOperand { name: "d_o", shift: "o_shift", width: d.val_dim, dtype: a.dtype }];
        let mut work = query_work(a, self.op, "attention_backward_relative", tile, self.limits, &operands);
        work.parted.push(walks.part(a));
        work.groups_per_unit = d.group() as u64 * walks.groups();
        work.stream = (d.seq_q as u64).div_ceil(walks.length.into());
        work.visited = u64::MAX;
        work.stream_step = 1;
        work.step_trips = 1 + tile.product_trips(d.head_dim) + tile.product_trips(d.val_dim);
        work.step_work = step_work(tile, d.head_dim + d.val_dim);
        let split = work.split(&walks.members(a, &self.layout), self.limits)?;
        let mut variant = Variant::new("attention_backward_relative", a);
        variant.tile_slots(a, files::ACCESS_BY_QUERY, tile);
        variant.slots(files::weight(a));
        variant.slots(dropout::files(a, false));
        variant.slots.push(files::PAIR_GRADIENTS);
        let loops = loops::backward_score_bias(a, tile, work.stream);
        let mut step = variant.step(a, wgsl!("attention/relative/walk.wgsl"), tile, 0, split);
        step.consts.push(("WALK", walks.length));
        self.steps.push(Step { loops, ..step });
        Ok(())
    }

    /// The step that sums diagonals to elements of the table.
    pub(super) fn relative_table(&mut self) -> Result<Option<Scratch>, PlanError> {
        let a = &self.op.forward;
        if a.relative_bias.is_none() {
            return Ok(None);
        }
        let elements = operand_bytes(self.op, "d_relative_bias") / 4;
        let work = Work {
            parted: vec![Parted::whole(DIAGONALS, diagonal_bytes(a)), Parted::whole("d_relative_bias", elements * 4)],
            stream_step: FLAT.into(),
            step_work: f64::from(FLAT),
            fixed_trips: 8,
            ..Work::flat("attention_relative_table", elements, a.dims.batch as u64 * diagonals(a))
        };
        let split = work.split(&Members::new(a, &self.layout), self.limits)?;
        let kernel = (wgsl!("attention/relative/table.wgsl"), vec![files::SHAPE]);
        self.steps.push(flat_step("attention_relative_table".into(), kernel, None, split));
        Ok(Some(sized(DIAGONALS, diagonal_bytes(a))))
    }
}
