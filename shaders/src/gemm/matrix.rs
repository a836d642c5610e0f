//! Tiles for matrix units: what `schedule/matrix.wgsl` is written in, and which products it can do.

use gatefold_core::{Dtype, Gemm};

use super::tiles::{Schedule, Tile};
use crate::{Limits, MatrixUnit};

/// What a tile for matrix units is made of, beside its terms of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MatrixTile {
    unit: MatrixUnit,
    /// Matrices along a side.
    parts: u32,
}

/// Matrices along a side of a tile | workgroups that there must be at least: more matrices need fewer loads each, fewer workgroups leave parts
/// of the adapter idle. 4 × 4 sums and the operands at hand take half of a GPU's registers.
const TABLE: [(u32, u64); 2] = [(4, 128), (2, 0)];

/// Matrices along the terms of a step, at least.
const DEPTH_PARTS: u32 = 2;

impl MatrixTile {
    /// The tile for `op`, or why there is none. A workgroup is one subgroup.
    pub(super) fn choose(op: &Gemm, limits: &Limits) -> Result<Tile, String> {
        let [batch, m, n] = [op.batch, op.m, op.n].map(|n| n as u64);
        Self::first(op.dtype, limits, |tile, least| batch.saturating_mul(tile.count(m, n)) >= least)
    }

    /// The first tile that fits the adapter and is `enough`, given the workgroups that there must be at least; the last one that fits if none
    /// is. Or why there is none.
    pub(super) fn first(dtype: Dtype, limits: &Limits, enough: impl Fn(&Tile, u64) -> bool) -> Result<Tile, String> {
        let unit = limits.matrix_unit(dtype)?;
        let even: Vec<_> =
            TABLE.iter().map(|&(parts, least)| (Self { unit, parts }, least)).filter(|(t, _)| t.is_even()).collect();
        let fitting: Vec<_> = even.iter().filter(|(t, _)| t.tile().check(limits).is_ok()).collect();
        let taken = fitting.iter().find(|(t, least)| enough(&t.tile(), *least));
        match (taken.or(fitting.last()), even.last()) {
            (Some((fits, _)), _) => Ok(fits.tile()),
            (None, Some((smallest, _))) => {
                Err(smallest.tile().check(limits).err().map_or(String::new(), |e| e.to_string()))
            }
            (None, None) => {
                Err(format!("matrices of {} by {} invocations do not divide a tile evenly", unit.edge, unit.lanes))
            }
        }
    }

    fn tile(self) -> Tile {
        Tile {
            schedule: Schedule::Matrix(self),
            side: self.unit.lanes,
            rows: self.side() / self.row_lanes(),
            cols4: 1,
            depth: self.depth(),
        }
    }

    /// Rows and columns of the tile.
    pub(super) fn side(self) -> u32 {
        self.parts * self.unit.edge
    }

    /// Terms of a step: so many that every invocation brings a block of four by four.
    fn depth(self) -> u32 {
        let MatrixUnit { edge, lanes } = self.unit;
        edge * DEPTH_PARTS.max(lanes * 16 / (self.side() * edge))
    }

    /// Rows that invocations store side by side.
    fn row_lanes(self) -> u32 {
        (4 * self.unit.lanes / self.side()).max(1)
    }

    /// vec4s of f16 from a row's terms to the next row's: 16 bytes beyond them.
    fn depth_stride4(self) -> u32 {
        self.depth() / 4 + 2
    }

    /// vec4s of f32 from a row of sums to the next: 16 bytes beyond them.
    fn sum_stride4(self) -> u32 {
        self.side() / 4 + 1
    }

    /// Blocks of four rows or columns and four terms that an invocation brings of a step.
    fn shares(self) -> u32 {
        self.side() / 4 * (self.depth() / 4) / self.unit.lanes
    }

    /// Whether everything is shared out without a rest: what the schedule's file asserts.
    fn is_even(self) -> bool {
        let MatrixUnit { edge, lanes } = self.unit;
        matches!(edge, 8 | 16)
            && lanes == self.row_lanes() * self.side() / 4
            && edge.is_multiple_of(self.row_lanes())
            && self.shares() * lanes == self.side() / 4 * (self.depth() / 4)
    }

    pub(super) fn workgroup_bytes(self) -> u32 {
        2 * 8 * self.side() * self.depth_stride4() + 16 * self.unit.edge * self.sum_stride4()
    }

    /// The consts that the schedule's file is written in, beside those of every tile.
    pub(super) fn consts(self) -> Vec<(&'static str, u32)> {
        let (edge, parts, operand) = (self.unit.edge, self.parts, self.side() * self.depth_stride4());
        vec![
            ("EDGE", edge),
            ("EDGE4", edge / 4),
            ("ROW_PARTS", parts),
            ("COL_PARTS", parts),
            ("DEPTH_PARTS", self.depth() / edge),
            ("DEPTH", self.depth()),
            ("PRODUCTS", parts * parts),
            ("ROW_LANES", self.row_lanes()),
            ("PART_ROWS", edge / self.row_lanes()),
            ("DEPTH_STRIDE4", self.depth_stride4()),
            ("SUM_STRIDE4", self.sum_stride4()),
            ("LEFT_TILE", operand),
            ("RIGHT_TILE", operand),
            ("SUM_TILE", edge * self.sum_stride4()),
            ("LEFT_SHARES", self.shares()),
            ("RIGHT_SHARES", self.shares()),
        ]
    }

    pub(super) fn aliases(self) -> [(&'static str, &'static str); 3] {
        self.unit.aliases()
    }

    /// Part of a variant name: `matrix16x64`, edge and invocations.
    pub(super) fn name(self) -> String {
        format!("matrix{}x{}", self.unit.edge, self.unit.lanes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(op: &Gemm, edge: u32, lanes: u32) -> Result<Tile, String> {
        let limits = Limits { matrix: Some(MatrixUnit { edge, lanes }), ..Limits::webgpu_default() };
        MatrixTile::choose(op, &limits)
    }

    fn square(size: usize) -> Gemm {
        Gemm { dtype: Dtype::F16, ..Gemm::new(size, size, size) }
    }

    #[test]
    fn tiles_are_large_where_there_are_many() {
        for (edge, lanes) in [(8, 8), (8, 32), (8, 64), (16, 16), (16, 32), (16, 64)] {
            assert_eq!(chosen(&square(4096), edge, lanes).map(|t| t.tile_rows()), Ok(4 * edge), "{edge} by {lanes}");
            let small = chosen(&square(64), edge, lanes).unwrap().tile_cols();
            // Two rows of matrices leave no work for the second half of 64 invocations.
            assert_eq!(small, if (edge, lanes) == (8, 64) { 4 * edge } else { 2 * edge }, "{edge} by {lanes}");
        }
    }

    #[test]
    fn what_cannot_be_done_is_refused_with_a_reason() {
        let single = Gemm { dtype: Dtype::F32, ..square(64) };
        assert_eq!(chosen(&single, 16, 32).unwrap_err(), "f32 is not multiplied in matrices");
        assert!(chosen(&square(64), 4, 8).unwrap_err().contains("4 by 8 invocations"));
        let matrix = Some(MatrixUnit { edge: 16, lanes: 64 });
        let scarce = Limits { matrix, workgroup_memory: 8 << 10, ..Limits::webgpu_default() };
        assert_eq!(MatrixTile::choose(&square(4096), &scarce).map(|t| t.tile_rows()), Ok(32));
        let none = Limits { workgroup_memory: 4 << 10, ..scarce };
        assert!(MatrixTile::choose(&square(4096), &none).unwrap_err().contains("workgroup memory"));
    }
}
