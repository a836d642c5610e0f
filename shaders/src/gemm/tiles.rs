//! The one table of tile sizes, and what follows from a row of it.

use super::matrix::MatrixTile;
use crate::{DeviceKind, Limits, Loop, PlanError};

/// How a tile of sums is formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Schedule {
    /// `schedule/lanes.wgsl`: one subgroup a workgroup, registers and shuffles.
    Lanes,
    /// `schedule/micro_tile.wgsl`: workgroup memory and register micro-tiles.
    MicroTile,
    /// `schedule/matrix.wgsl`: products in matrix units, f16 only, chosen by its own rules.
    Matrix(MatrixTile),
}

/// A row of the table: schedule | invocations along a side of a workgroup (0: the lanes of a subgroup) | rows and vec4s of columns of an
/// invocation | terms at a time | workgroups that there must be at least, so that a large tile leaves no part of the adapter idle.
struct Row(Schedule, u32, u32, u32, u32, u64);

/// First row that fits wins.
const TABLE: &[Row] = &[
    Row(Schedule::Lanes, 0, 32, 2, 4, 32),
    Row(Schedule::Lanes, 0, 16, 2, 4, 0),
    Row(Schedule::MicroTile, 16, 8, 2, 16, 64),
    Row(Schedule::MicroTile, 8, 8, 2, 16, 0),
    // For groups of few rows: a dense product never gets here.
    Row(Schedule::Lanes, 0, 8, 2, 4, 0),
    Row(Schedule::MicroTile, 8, 4, 2, 32, 0),
];

/// A tile: a row of the table made concrete for one adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) schedule: Schedule,
    /// Lanes of the subgroup, or invocations along a side.
    pub(super) side: u32,
    /// Rows of an invocation.
    pub(super) rows: u32,
    /// vec4s of columns of an invocation.
    pub(super) cols4: u32,
    /// Terms of a loop step.
    pub(super) depth: u32,
}

impl Tile {
    /// The tile for `batch` products of `m` rows and `n` columns; also why this schedule was taken.
    pub(super) fn choose(batch: u64, m: u64, n: u64, limits: &Limits) -> Result<(Self, String), PlanError> {
        Self::first(limits, |tile, least| batch.saturating_mul(tile.count(m, n)) >= least)
    }

    /// The first tile that fits the adapter and is `enough`, given the workgroups that there must be at least; the last one that fits if none
    /// is. Also why this schedule was taken.
    pub(super) fn first(limits: &Limits, enough: impl Fn(&Self, u64) -> bool) -> Result<(Self, String), PlanError> {
        let (schedule, lanes, why) = match (limits.kind, limits.subgroup) {
            (DeviceKind::Cpu, Some(lanes @ (4 | 8 | 16))) => {
                let why = format!("lanes: a CPU-type adapter with subgroups of {lanes}, where every load is a gather");
                (Schedule::Lanes, lanes, why)
            }
            (DeviceKind::Cpu, other) => {
                let why = format!("micro_tile: a CPU-type adapter without subgroups of 4, 8 or 16 ({other:?})");
                (Schedule::MicroTile, 0, why)
            }
            (DeviceKind::Gpu, _) => {
                (Schedule::MicroTile, 0, "micro_tile: a GPU, whose workgroup memory is fast".into())
            }
        };
        let (mut fitting, mut refused) = (None, None);
        for &Row(_, side, rows, cols4, depth, least) in TABLE.iter().filter(|r| r.0 == schedule && r.2 >= lanes) {
            let tile = Self { schedule, side: side.max(lanes), rows, cols4, depth };
            match tile.check(limits) {
                Ok(()) if enough(&tile, least) => return Ok((tile, why)),
                Ok(()) => fitting = Some(tile),
                Err(e) => refused = Some(e),
            }
        }
        match (fitting, refused) {
            (Some(tile), _) => Ok((tile, why)),
            (None, Some(e)) => Err(e),
            (None, None) => {
                Err(PlanError::Limit { kernel: "gemm".into(), limit: "tiles in the table", need: 1, have: 0 })
            }
        }
    }

    /// Tiles that cover `m` rows and `n` columns.
    pub(super) fn count(&self, m: u64, n: u64) -> u64 {
        m.div_ceil(self.tile_rows().into()) * n.div_ceil(self.tile_cols().into())
    }

    pub(super) fn check(&self, limits: &Limits) -> Result<(), PlanError> {
        for (limit, need, have) in [
            ("invocations per workgroup", self.invocations(), limits.invocations.min(limits.workgroup_size_x)),
            ("bytes of workgroup memory", self.workgroup_bytes(), limits.workgroup_memory),
            ("storage buffers", 4, limits.storage_buffers),
        ] {
            if need > have {
                let kernel = format!("gemm.{}", self.name());
                return Err(PlanError::Limit { kernel, limit, need: need.into(), have: have.into() });
            }
        }
        Ok(())
    }

    pub(super) fn invocations(&self) -> u32 {
        match self.schedule {
            Schedule::Lanes | Schedule::Matrix(_) => self.side,
            Schedule::MicroTile => self.side * self.side,
        }
    }

    /// Rows of a workgroup.
    pub(super) fn tile_rows(&self) -> u32 {
        match self.schedule {
            Schedule::Lanes => self.rows,
            Schedule::MicroTile => self.rows * self.side,
            Schedule::Matrix(m) => m.side(),
        }
    }

    /// Columns of a workgroup.
    pub(super) fn tile_cols(&self) -> u32 {
        match self.schedule {
            Schedule::Lanes | Schedule::MicroTile => 4 * self.cols4 * self.side,
            Schedule::Matrix(m) => m.side(),
        }
    }

    /// Words of the sums of an invocation.
    pub(super) fn state_words(&self) -> u32 {
        4 * self.rows * self.cols4
    }

    fn workgroup_bytes(&self) -> u32 {
        match self.schedule {
            Schedule::Lanes => 0,
            Schedule::MicroTile => 4 * self.depth * (self.tile_rows() + self.tile_cols()),
            Schedule::Matrix(m) => m.workgroup_bytes(),
        }
    }

    /// Loops of `product.wgsl` over `k` terms in `passes` dispatches; only the schedules for GPUs are described.
    pub(super) fn loops(&self, k: usize, passes: usize) -> Vec<Loop> {
        match self.schedule {
            Schedule::Lanes => Vec::new(),
            Schedule::MicroTile | Schedule::Matrix(_) => {
                let trips = (k as f64 / passes.max(1) as f64 / f64::from(self.depth)).ceil();
                let mul_adds = u64::from(4 * self.rows * self.cols4 * self.depth);
                vec![Loop { mul_adds, ..Loop::new("product/first", trips).with_buffers() }]
            }
        }
    }

    /// The consts that the kernel, schedule and operand files are written in.
    pub(super) fn consts(&self) -> Vec<(&'static str, u32)> {
        let (rows4, cols4, depth4) = (self.tile_rows() / 4, self.tile_cols() / 4, self.depth / 4);
        let mut all = vec![
            ("INVOCATIONS", self.invocations()),
            ("ROWS", self.rows),
            ("COLS", 4 * self.cols4),
            ("COLS4", self.cols4),
            ("SUMS", self.rows * self.cols4),
            ("TILE_ROWS", self.tile_rows()),
            ("TILE_COLS", self.tile_cols()),
            ("TILE_ROWS4", rows4),
            ("TILE_COLS4", cols4),
            ("DEPTH4", depth4),
        ];
        match self.schedule {
            Schedule::Lanes => all.extend([("LANES", self.side), ("BLOCKS", self.rows / self.side)]),
            Schedule::Matrix(m) => all.extend(m.consts()),
            Schedule::MicroTile => {
                // Blocks of four rows or columns and four terms that an invocation brings.
                let (left, right) = (rows4 * depth4 / self.invocations(), cols4 * depth4 / self.invocations());
                all.extend([
                    ("SIDE", self.side),
                    ("ROWS4", self.rows / 4),
                    ("DEPTH", self.depth),
                    ("LEFT_TILE", rows4 * self.depth),
                    ("RIGHT_TILE", cols4 * self.depth),
                    ("LEFT_BLOCKS", rows4 * depth4),
                    ("LEFT_SHARES", left),
                    ("RIGHT_SHARES", right),
                    ("SPLIT_SHARES", u32::from(left == 0)),
                    ("SHARES", left.max(right).max(1)),
                ])
            }
        }
        all
    }

    /// The types that the schedule's file is written in.
    pub(super) fn aliases(&self) -> Vec<(&'static str, &'static str)> {
        let mut all = vec![("Sums", "array<vec4<f32>, SUMS>"), ("Place", "array<u32, 4>")];
        if let Schedule::Matrix(m) = self.schedule {
            all.extend(m.aliases());
        }
        all
    }

    /// Part of a variant name: `micro_tile.rows128.cols128`.
    pub(super) fn name(&self) -> String {
        let schedule = match self.schedule {
            Schedule::Lanes => format!("lanes{}", self.side),
            Schedule::MicroTile => "micro_tile".into(),
            Schedule::Matrix(m) => m.name(),
        };
        format!("{schedule}.rows{}.cols{}", self.tile_rows(), self.tile_cols())
    }
}
