//! The one table of tile sizes, and what follows from a row of it.
//!
//! The table is what ships, by schedule, stage, width and length. A tuner may take another tile of [`candidates`](Tile::candidates).
//!
//! `Lanes` tiles trade speed for compilation, which no driver of that type keeps between processes. Measured on lavapipe (Mesa 22.3, 8 heads,
//! T 1024 (gradients 512), D 64, f32; seconds of processor time from nothing to the first result, GFLOP/s):
//!
//! | own rows, positions | softmax | sigmoid |
//! |---|---|---|
//! | 32, 64 | 4.1 s, 38.0 | 3.7 s, 38.6 |
//! | 32, 32 | 2.6 s, 35.0 | 1.8 s, 37.6 |
//! | 24, 32 | 1.8 s, 33.1 | 1.3 s, 34.9 |
//! | 16, 64 | 1.7 s, 30.7 | 1.5 s, 31.7 |
//! | 16, 32 | 1.1 s, 30.2 | 0.9 s, 31.1 |
//! | gradient 16, 64 | 6.2 s, 20.4 | 6.8 s, 23.2 |
//! | gradient 16, 32 | 3.3 s, 20.5 | 3.5 s, 22.3 |
//! | gradient 8, 32 | 1.8 s, 15.3 | 1.8 s, 16.5 |
//!
//! Hence 24 rows up to T 1024, where the larger tile takes a hundred runs to earn back its second or two, and the largest beyond; neither on
//! subgroups of 4, which hold twice the numbers a lane: a gradient of the largest took SwiftShader 111 s to compile.

use super::matrix::MatrixTile;
use crate::{DeviceKind, Limits, PlanError};

/// How a score tile is formed and accumulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schedule {
    /// `schedule/lanes.wgsl`: one subgroup a workgroup, registers and shuffles.
    Lanes,
    /// `schedule/micro_tile.wgsl`: workgroup memory and register micro-tiles.
    MicroTile,
    /// The same for CPU-type drivers without subgroups: small micro-tiles, since they compile slowly.
    SmallMicroTile,
    /// `schedule/matrix.wgsl`: products in matrix units. Forward only, and chosen by its own rules.
    Matrix(MatrixTile),
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

/// A row of the table: up to `width4` vec4s of dims per invocation and accumulator row, an invocation holds `own` rows and scores of
/// `stream4` vec4s of stream positions each.
struct Row {
    schedule: Schedule,
    stage: Stage,
    width4: u32,
    own: u32,
    stream4: u32,
    /// Own positions from which the row is taken.
    from: usize,
}

const fn row(schedule: Schedule, stage: Stage, width4: u32, own: u32, stream4: u32) -> Row {
    Row { schedule, stage, width4, own, stream4, from: 0 }
}

impl Row {
    const fn from(self, positions: usize) -> Self {
        Self { from: positions, ..self }
    }
}

use Schedule::{Lanes, Matrix, MicroTile, SmallMicroTile};
use Stage::{BackwardKeyValue, BackwardQuery, BackwardScoreBias, Forward};

/// First row that fits wins: schedule | stage | max vec4s of dims per invocation | own rows per invocation | vec4s of stream positions.
const TABLE: &[Row] = &[
    row(Lanes, Forward, 2, 32, 2).from(1025),
    row(Lanes, Forward, 2, 24, 1).from(257),
    row(Lanes, Forward, 2, 16, 1),
    row(Lanes, Forward, 4, 16, 2),
    row(Lanes, Forward, 16, 8, 1),
    row(Lanes, BackwardQuery, 2, 32, 2).from(1025),
    row(Lanes, BackwardQuery, 4, 16, 1),
    row(Lanes, BackwardQuery, 16, 8, 1),
    row(Lanes, BackwardKeyValue, 2, 32, 2).from(1025),
    row(Lanes, BackwardKeyValue, 2, 16, 1),
    row(Lanes, BackwardKeyValue, 16, 8, 1),
    row(Lanes, BackwardScoreBias, 16, 8, 1),
    row(MicroTile, Forward, 2, 8, 2).from(17),
    row(MicroTile, Forward, 4, 8, 1).from(17),
    row(MicroTile, Forward, 8, 4, 1).from(17),
    row(MicroTile, Forward, 8, 2, 2),
    row(MicroTile, Forward, 16, 2, 1),
    row(MicroTile, BackwardQuery, 2, 8, 1),
    row(MicroTile, BackwardQuery, 8, 4, 1),
    row(MicroTile, BackwardQuery, 16, 2, 1),
    row(MicroTile, BackwardKeyValue, 2, 4, 2),
    row(MicroTile, BackwardKeyValue, 4, 4, 1),
    row(MicroTile, BackwardKeyValue, 16, 2, 1),
    row(MicroTile, BackwardScoreBias, 16, 4, 1),
    row(MicroTile, BackwardScoreBias, 16, 2, 1),
    row(SmallMicroTile, Forward, 4, 4, 1),
    row(SmallMicroTile, Forward, 8, 2, 1),
    row(SmallMicroTile, BackwardQuery, 4, 4, 1),
    row(SmallMicroTile, BackwardQuery, 8, 2, 1),
    row(SmallMicroTile, BackwardKeyValue, 2, 4, 1),
    row(SmallMicroTile, BackwardKeyValue, 8, 2, 1),
    row(SmallMicroTile, BackwardScoreBias, 8, 4, 1),
];

/// Columns of invocations of a micro-tile workgroup.
pub(super) const COLS: u32 = 8;
const DEPTH4: u32 = 4; // vec4s of dims staged at a time

/// A tile: a row of the table made concrete for one width and one adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) schedule: Schedule,
    /// Rows of invocations; 1 if a row of scores is spread over all lanes.
    pub(super) rows: u32,
    /// Columns of invocations, or lanes of the subgroup: a row of scores is spread over them.
    pub(super) cols: u32,
    /// Own rows per invocation.
    pub(super) own: u32,
    /// vec4s of stream positions per invocation.
    pub(super) stream4: u32,
    /// vec4s of dims per invocation and accumulator row.
    pub(super) width4: u32,
    /// Whether a half of the own rows are slopes of the other half, which are queries.
    pub(super) paired: bool,
}

/// The schedule for an adapter, the columns of its invocations, and why.
pub(super) fn schedule(limits: &Limits) -> (Schedule, u32, String) {
    match (limits.kind, limits.subgroup) {
        (DeviceKind::Cpu, Some(n @ (4 | 8 | 16))) => {
            (Lanes, n, format!("lanes: a CPU-type adapter with subgroups of {n}, where every load is a gather"))
        }
        (DeviceKind::Cpu, other) => (
            SmallMicroTile,
            COLS,
            format!("micro_tile: a CPU-type adapter without subgroups of 4, 8 or 16 ({other:?})"),
        ),
        (DeviceKind::Gpu, _) => (
            MicroTile,
            COLS,
            format!("micro_tile: a GPU, whose workgroup memory is fast; one wave of {} a workgroup", limits.wave),
        ),
    }
}

/// What the rows of a table are made concrete for.
#[derive(Clone, Copy)]
pub(super) struct Setting {
    schedule: Schedule,
    stage: Stage,
    rows: u32,
    cols: u32,
    pub(super) width4: u32,
    positions: usize,
}

impl Setting {
    pub(super) fn new(
        (schedule, cols): (Schedule, u32),
        stage: Stage,
        (dim, positions): (usize, usize),
        limits: &Limits,
    ) -> Self {
        let dim4 = u32::try_from(dim.div_ceil(4)).unwrap_or(u32::MAX);
        let rows = match schedule {
            Lanes => 1,
            MicroTile => limits.wave / COLS,
            SmallMicroTile | Matrix(_) => COLS,
        };
        Self { schedule, stage, rows, cols, width4: dim4.div_ceil(cols).next_power_of_two(), positions }
    }

    /// The same with workgroups of this many rows of invocations.
    pub(super) fn with_rows(self, rows: u32) -> Self {
        Self { rows, ..self }
    }

    pub(super) fn tile(self, own: u32, stream4: u32) -> Tile {
        let Self { schedule, rows, cols, width4, .. } = self;
        Tile { schedule, rows, cols, own, stream4, width4, paired: false }
    }

    /// The tiles of the table's rows that serve, in order.
    pub(super) fn table(self) -> impl Iterator<Item = Tile> {
        let long = if self.schedule == Lanes && self.cols < 8 { 0 } else { self.positions };
        let serves = move |r: &&Row| {
            (r.schedule, r.stage) == (self.schedule, self.stage) && self.width4 <= r.width4 && r.from <= long
        };
        TABLE.iter().filter(serves).map(move |r| self.tile(r.own, r.stream4))
    }
}

impl Tile {
    /// The table's tile for an accumulator of `dim` dims and `positions` own positions; also why this schedule was taken.
    pub(super) fn choose(
        stage: Stage,
        dim: usize,
        positions: usize,
        limits: &Limits,
    ) -> Result<(Self, String), PlanError> {
        let (schedule, cols, why) = schedule(limits);
        let setting = Setting::new((schedule, cols), stage, (dim, positions), limits);
        // A smaller tile where workgroup memory is scarce.
        let fits = |t: &Self| t.workgroup_bytes() <= limits.workgroup_memory;
        let mut tile = setting.table().find(fits).or(setting.table().next()).unwrap_or_else(|| setting.tile(2, 1));
        if schedule == Lanes {
            // Fewer rows for short sequences: what they save at run time is less than what the driver takes to compile them.
            while tile.own > cols && positions < 16 * tile.own as usize {
                tile.own /= 2;
            }
            tile.own = tile.own.next_multiple_of(cols);
            if tile.own == cols {
                tile.stream4 = 1;
            }
        }
        tile.check(limits)?;
        Ok((tile, why))
    }

    pub(super) fn check(&self, limits: &Limits) -> Result<(), PlanError> {
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

    pub(super) fn is_matrix(&self) -> bool {
        matches!(self.schedule, Matrix(_))
    }

    pub(super) fn invocations(&self) -> u32 {
        self.rows * self.cols
    }

    /// Invocations that a row of a matrix tile's accumulator is spread over; 1 for other tiles, whose `width4` is per invocation.
    pub(super) fn row_parts(&self) -> u32 {
        if matches!(self.schedule, Matrix(_)) { self.cols } else { 1 }
    }

    /// Own positions per workgroup.
    pub(super) fn tile_own(&self) -> u32 {
        self.own * self.rows
    }

    /// Own positions per workgroup that are queries where queries own.
    pub(super) fn tile_queries(&self) -> u32 {
        self.tile_own() / if self.paired { 2 } else { 1 }
    }

    /// Stream positions per loop step.
    pub(super) fn tile_stream(&self) -> u32 {
        4 * self.stream4 * self.cols
    }

    /// Columns of invocations whose weights and values are in workgroup memory at a time: values take 4 KiB, and every invocation loads.
    fn block_cols(&self) -> u32 {
        let least = self.invocations().div_ceil(self.value_cols());
        (8 / self.width4).clamp(1, self.cols).max(least)
    }

    /// vec4s of a row of values.
    fn value_cols(&self) -> u32 {
        self.cols * self.width4
    }

    fn own_tile(&self) -> u32 {
        (self.tile_own() * DEPTH4.max(self.block_cols())).max(self.own.div_ceil(4) * self.invocations())
    }

    fn stream_tile(&self) -> u32 {
        (self.tile_stream() * DEPTH4).max(4 * self.block_cols() * self.value_cols())
    }

    fn workgroup_bytes(&self) -> u32 {
        let uniform_range = 8;
        match self.schedule {
            Lanes => uniform_range,
            MicroTile | SmallMicroTile => 16 * (self.own_tile() + self.stream_tile()),
            Matrix(m) => m.workgroup_bytes(self),
        }
    }

    /// Loop trips of one product over `dim` dims, as written.
    pub(super) fn product_trips(&self, dim: usize) -> u64 {
        let depth4 = dim.div_ceil(4) as u64;
        match self.schedule {
            Lanes => depth4,
            MicroTile => depth4.div_ceil(DEPTH4.into()),
            SmallMicroTile => {
                let loads = 2 * (self.tile_own() + self.tile_stream());
                depth4.div_ceil(DEPTH4.into()) * u64::from(1 + DEPTH4 + loads * DEPTH4 / self.invocations())
            }
            Matrix(m) => m.step_trips(self),
        }
    }

    /// Loop trips of one accumulation, as written.
    pub(super) fn accumulate_trips(&self) -> u64 {
        match self.schedule {
            Lanes => self.cols.into(),
            Matrix(_) => 0,
            MicroTile | SmallMicroTile => {
                let blocks = self.stream4 * self.cols / self.block_cols();
                // Values that are not finite are looked for one vec4 at a time.
                let looks = 4 * self.value_loads();
                let written = if self.schedule == MicroTile { 0 } else { 4 + looks + self.block_cols() };
                u64::from(blocks) * u64::from(1 + looks + written)
            }
        }
    }

    /// Whether every invocation stages the same count of vec4s, at least one: what the schedule's file relies on.
    pub(super) fn stages_whole(&self) -> bool {
        self.schedule == Lanes
            || (self.tile_own() * DEPTH4).is_multiple_of(self.invocations())
                && (self.tile_stream() * DEPTH4).is_multiple_of(self.invocations())
                && self.block_cols() <= self.cols
    }

    fn value_loads(&self) -> u32 {
        self.block_cols() * self.value_cols() / self.invocations()
    }

    /// The consts that the schedule, row and carry files are written in.
    pub(super) fn consts(&self) -> Vec<(&'static str, u32)> {
        if let Matrix(m) = self.schedule {
            return m.consts(self);
        }
        let mut all = vec![
            ("INVOCATIONS", self.invocations()),
            ("OWN", self.own),
            ("OWN4", self.own.div_ceil(4)),
            ("STREAM", 4 * self.stream4),
            ("STREAM4", self.stream4),
            ("SCORES", self.own * self.stream4),
            ("WIDTH4", self.width4),
            ("ACCUMULATORS", self.own * self.width4),
            ("TILE_OWN", self.tile_own()),
            ("QUERIES", self.tile_queries() / self.rows),
            ("TILE_QUERIES", self.tile_queries()),
            ("TILE_STREAM", self.tile_stream()),
        ];
        match self.schedule {
            Matrix(_) => {}
            Lanes => all.extend([("LANES", self.cols), ("BLOCKS", self.own / self.cols)]),
            MicroTile | SmallMicroTile => all.extend([
                ("WRITE_OUT", u32::from(self.schedule == MicroTile)),
                ("ROWS", self.rows),
                ("COLS", self.cols),
                ("DEPTH4", DEPTH4),
                ("DEPTH_ROWS", self.invocations() / DEPTH4),
                ("SWIZZLE", COLS / DEPTH4),
                ("OWN_LOADS", self.tile_own() * DEPTH4 / self.invocations()),
                ("STREAM_LOADS", self.tile_stream() * DEPTH4 / self.invocations()),
                ("BLOCK_COLS", self.block_cols()),
                ("VALUE_COLS", self.value_cols()),
                ("VALUE_LOADS", self.value_loads()),
                ("OWN_TILE", self.own_tile()),
                ("STREAM_TILE", self.stream_tile()),
            ]),
        }
        all
    }

    /// The types that the schedule, row and carry files are written in.
    pub(super) fn aliases(&self) -> Vec<(&'static str, &'static str)> {
        if let Matrix(m) = self.schedule {
            return m.aliases();
        }
        vec![
            ("Scores", "array<vec4<f32>, SCORES>"),
            ("Accumulator", "array<vec4<f32>, ACCUMULATORS>"),
            ("Rows", "array<vec4<f32>, OWN4>"),
        ]
    }

    /// Part of a variant name: `lanes8.own32.stream64.width64`.
    pub(super) fn name(&self) -> String {
        let schedule = match self.schedule {
            Lanes => format!("lanes{}", self.cols),
            MicroTile | SmallMicroTile => format!("micro_tile{}x{}", self.rows, self.cols),
            Matrix(m) => return m.name(self),
        };
        format!("{schedule}.own{}.stream{}.width{}", self.tile_own(), self.tile_stream(), 4 * self.width4)
    }
}
