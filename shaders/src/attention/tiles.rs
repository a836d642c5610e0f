//! The one table of tile sizes, and what follows from a row of it.

use crate::{DeviceKind, Limits, PlanError};

/// How a score tile is formed and accumulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schedule {
    /// `schedule/lanes.wgsl`: one subgroup a workgroup, registers and shuffles.
    Lanes,
    /// `schedule/micro_tile.wgsl`: workgroup memory and register micro-tiles.
    MicroTile,
}

/// Which kernel a tile is for: they keep different amounts in registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// One accumulator, one score tile.
    Forward,
    /// One accumulator, two score tiles.
    BackwardQuery,
    /// Two accumulators, two score tiles.
    BackwardKeyValue,
    /// No accumulator, three score tiles.
    BackwardScoreBias,
}

/// A row of the table: up to `max_width4` vec4s of dims per invocation and accumulator row, an invocation holds `own` rows.
struct Row(Schedule, Stage, u32, u32);

/// First row that fits wins: schedule | stage | max vec4s of dims per invocation | own rows per invocation.
const TABLE: &[Row] = &[
    Row(Schedule::Lanes, Stage::Forward, 2, 32),
    Row(Schedule::Lanes, Stage::Forward, 4, 16),
    Row(Schedule::Lanes, Stage::Forward, 16, 8),
    Row(Schedule::Lanes, Stage::BackwardQuery, 4, 16),
    Row(Schedule::Lanes, Stage::BackwardQuery, 16, 8),
    Row(Schedule::Lanes, Stage::BackwardKeyValue, 2, 16),
    Row(Schedule::Lanes, Stage::BackwardKeyValue, 16, 8),
    Row(Schedule::Lanes, Stage::BackwardScoreBias, 16, 8),
    Row(Schedule::MicroTile, Stage::Forward, 4, 4),
    Row(Schedule::MicroTile, Stage::Forward, 8, 2),
    Row(Schedule::MicroTile, Stage::BackwardQuery, 4, 4),
    Row(Schedule::MicroTile, Stage::BackwardQuery, 8, 2),
    Row(Schedule::MicroTile, Stage::BackwardKeyValue, 2, 4),
    Row(Schedule::MicroTile, Stage::BackwardKeyValue, 4, 2),
    Row(Schedule::MicroTile, Stage::BackwardKeyValue, 8, 1),
    Row(Schedule::MicroTile, Stage::BackwardScoreBias, 8, 4),
];

/// Invocations along each side of a micro-tile workgroup.
const SIDE: u32 = 8;
/// vec4s of dims staged at a time.
const DEPTH4: u32 = 8;

/// A tile: a row of the table made concrete for one width and one adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) schedule: Schedule,
    /// Lanes of the subgroup, or invocations along a side.
    pub(super) lanes: u32,
    /// Own rows per invocation.
    pub(super) own: u32,
    /// vec4s of stream positions per invocation.
    pub(super) stream4: u32,
    /// vec4s of dims per invocation and accumulator row.
    pub(super) width4: u32,
    /// How many of these are staged at once where values are added up in workgroup memory.
    values4: u32,
}

impl Tile {
    /// The tile for an accumulator of `dim` dims and `positions` own positions; also why this schedule was taken.
    pub(super) fn choose(
        stage: Stage,
        dim: usize,
        positions: usize,
        limits: &Limits,
    ) -> Result<(Self, String), PlanError> {
        let (schedule, lanes, why) = match (limits.kind, limits.subgroup) {
            (DeviceKind::Cpu, Some(n @ (4 | 8 | 16))) => (
                Schedule::Lanes,
                n,
                format!("lanes: a CPU-type adapter with subgroups of {n}, where every load is a gather"),
            ),
            (DeviceKind::Cpu, other) => (
                Schedule::MicroTile,
                SIDE,
                format!("micro_tile: a CPU-type adapter without subgroups of 4, 8 or 16 ({other:?})"),
            ),
            (DeviceKind::Gpu, _) => {
                (Schedule::MicroTile, SIDE, "micro_tile: a GPU, whose workgroup memory is fast".into())
            }
        };
        let dim4 = u32::try_from(dim.div_ceil(4)).unwrap_or(u32::MAX);
        let width4 = dim4.div_ceil(lanes).next_power_of_two();
        let row = TABLE.iter().find(|r| r.0 == schedule && r.1 == stage && width4 <= r.2);
        let mut own = row.map_or(1, |r| r.3);
        if schedule == Schedule::Lanes {
            // Fewer rows for short sequences: what they save at run time is less than what the driver takes to compile them.
            while own > lanes && positions < 16 * own as usize {
                own /= 2;
            }
            own = own.max(lanes);
        }
        let stream4 = if schedule == Schedule::Lanes && own > lanes { 2 } else { 1 };
        let mut tile = Self { schedule, lanes, own, stream4, width4, values4: 1 };
        // Half as many barriers where rows are few and memory is left.
        let two = Self { values4: 2, ..tile };
        if schedule == Schedule::MicroTile && width4 >= 2 && two.workgroup_bytes() <= limits.workgroup_memory {
            tile = two;
        }
        tile.check(limits)?;
        Ok((tile, why))
    }

    fn check(&self, limits: &Limits) -> Result<(), PlanError> {
        let kernel = format!("attention.{}", self.name());
        for (limit, need, have) in [
            ("invocations per workgroup", self.invocations(), limits.invocations.min(limits.workgroup_size_x)),
            ("bytes of workgroup memory", self.workgroup_bytes(), limits.workgroup_memory),
            ("storage buffers", 8, limits.storage_buffers),
        ] {
            if need > have {
                return Err(PlanError::Limit { kernel, limit, need: need.into(), have: have.into() });
            }
        }
        Ok(())
    }

    pub(super) fn invocations(&self) -> u32 {
        match self.schedule {
            Schedule::Lanes => self.lanes,
            Schedule::MicroTile => self.lanes * self.lanes,
        }
    }

    /// Own positions per workgroup.
    pub(super) fn tile_own(&self) -> u32 {
        match self.schedule {
            Schedule::Lanes => self.own,
            Schedule::MicroTile => self.own * self.lanes,
        }
    }

    /// Stream positions per loop step.
    pub(super) fn tile_stream(&self) -> u32 {
        4 * self.stream4 * self.lanes
    }

    fn workgroup_bytes(&self) -> u32 {
        let uniform_range = 8;
        match self.schedule {
            Schedule::Lanes => uniform_range,
            Schedule::MicroTile => {
                let (own, stream) = (self.tile_own(), self.tile_stream());
                16 * (own * DEPTH4 + self.stream_tile() + own * stream / 4) + 4 * own * self.lanes + uniform_range
            }
        }
    }

    /// vec4s of the array that stream operands and values are staged in.
    fn stream_tile(&self) -> u32 {
        self.tile_stream() * DEPTH4.max(self.values4 * self.lanes)
    }

    /// Loop trips of one product over `dim` dims, as written.
    pub(super) fn product_trips(&self, dim: usize) -> u64 {
        let depth4 = dim.div_ceil(4) as u64;
        match self.schedule {
            Schedule::Lanes => depth4,
            Schedule::MicroTile => {
                let staging =
                    u64::from((self.tile_own() + self.tile_stream()) * DEPTH4).div_ceil(self.invocations().into());
                depth4.div_ceil(DEPTH4.into()) * (3 + staging + u64::from(DEPTH4))
            }
        }
    }

    /// Loop trips of one accumulation, as written.
    pub(super) fn accumulate_trips(&self) -> u64 {
        match self.schedule {
            Schedule::Lanes => self.lanes.into(),
            Schedule::MicroTile => {
                let values = self.tile_stream() * self.values4 * self.lanes;
                let staging = u64::from(values).div_ceil(self.invocations().into());
                u64::from(self.width4 / self.values4) * (1 + staging + u64::from(self.tile_stream() / 4))
            }
        }
    }

    /// Loop trips of the row statistics of one tile, as written.
    pub(super) fn row_trips(&self) -> u64 {
        match self.schedule {
            Schedule::Lanes => 0,
            Schedule::MicroTile => u64::from(2 * self.own * self.lanes),
        }
    }

    /// The consts that the schedule, row and carry files are written in.
    pub(super) fn consts(&self) -> Vec<(&'static str, u32)> {
        let mut all = vec![
            ("INVOCATIONS", self.invocations()),
            ("OWN", self.own),
            ("STREAM", 4 * self.stream4),
            ("STREAM4", self.stream4),
            ("SCORES", self.own * self.stream4),
            ("WIDTH4", self.width4),
            ("ACCUMULATORS", self.own * self.width4),
            ("TILE_OWN", self.tile_own()),
            ("TILE_STREAM", self.tile_stream()),
        ];
        match self.schedule {
            Schedule::Lanes => all.extend([("LANES", self.lanes), ("BLOCKS", self.own / self.lanes)]),
            Schedule::MicroTile => all.extend([
                ("SIDE", self.lanes),
                ("DEPTH4", DEPTH4),
                ("OWN_TILE", self.tile_own() * DEPTH4),
                ("STREAM_TILE", self.stream_tile()),
                ("VALUES4", self.values4),
                ("VALUES", 4 * self.values4),
                ("VALUE_COLS", self.values4 * self.lanes),
                ("VALUE_BLOCKS", self.width4 / self.values4),
                ("VALUE_TILE", self.tile_stream() * self.values4 * self.lanes),
                ("TILE_STREAM4", self.tile_stream() / 4),
                ("WEIGHT_TILE", self.tile_own() * self.tile_stream() / 4),
                ("ROW_TILE", self.tile_own() * self.lanes),
            ]),
        }
        all
    }

    /// Part of a variant name: `lanes8.q32k64.w2`.
    pub(super) fn name(&self) -> String {
        let schedule = match self.schedule {
            Schedule::Lanes => format!("lanes{}", self.lanes),
            Schedule::MicroTile => "micro_tile".into(),
        };
        let staged = if self.values4 > 1 { format!(".values{}", 4 * self.values4) } else { String::new() };
        format!("{schedule}.own{}.stream{}.width{}{staged}", self.tile_own(), self.tile_stream(), 4 * self.width4)
    }
}
