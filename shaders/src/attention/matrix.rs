//! Tiles for matrix units: what `schedule/matrix.wgsl` is written in, and which attentions it can do.

use gatefold_core::Attention;
use gatefold_core::attention::Sequences;

use super::files::{self, RowKind};
use super::shares::are_grouped;
use super::tiles::{Schedule, Tile};
use crate::{Limits, MatrixUnit};

/// What a tile for matrix units is made of, beside its rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MatrixTile {
    unit: MatrixUnit,
    /// vec4s of a row of queries and keys.
    head4: u32,
    /// Lanes that move a row of queries or keys together, two vec4s side by side each.
    pair_lanes: u32,
    /// Lanes that move a row of values together, a vec4 each.
    value_lanes: u32,
}

/// Rows of a tile: matrix registers for more do not fit.
const MOST_ROWS: u32 = 32;
/// vec4s of stream positions of a tile.
const STREAM4: u32 = 8;
/// An accumulator row takes as many registers of its invocations as it has dims.
const MOST_DIMS: usize = 128;

/// The largest power of two that divides both and is at most `most`.
fn common(a: u32, b: u32, most: u32) -> u32 {
    1 << (a.trailing_zeros().min(b.trailing_zeros()).min(most.ilog2()))
}

/// vec4s of f16 from a row of weights, or of values by dims, to the next: 16 bytes beyond the stream positions.
fn key_stride4(tile: &Tile) -> u32 {
    tile.tile_stream() / 4 + 2
}

/// vec4s of f32 from a row of scores to the next: 16 bytes beyond the stream positions.
fn score_stride4(tile: &Tile) -> u32 {
    tile.tile_stream() / 4 + 1
}

impl MatrixTile {
    /// The tile for `a`, or why there is none. A workgroup is one subgroup.
    pub(super) fn choose(a: &Attention, limits: &Limits) -> Result<Tile, String> {
        let unit = limits.matrix_unit(a.dtype)?;
        let (d, edge) = (&a.dims, unit.edge);
        if !a.custom.is_empty() {
            return Err("functions of the user's own need scores one by one, which matrix tiles do not have".into());
        }
        if a.drops().is_some() {
            return Err("dropout drops weights one by one, which matrix tiles do not have".into());
        }
        if a.hides_inside() {
            return Err(
                "sink tokens, documents and block maps hide pairs one by one, which matrix tiles do not do".into()
            );
        }
        if files::row_kind(a) == RowKind::Elementwise {
            return Err(format!("{} weights have no rows of matrix tiles", a.weight.name()));
        }
        if a.local_linear {
            return Err(
                "local-linear rows have two products and two accumulators, which matrix tiles do not have".into()
            );
        }
        if are_grouped(a) {
            return Err("a group's few rows are packed, which matrix tiles do not know".into());
        }
        if !a.storage.is_float() {
            return Err("keys and values are int8, which matrix tiles do not know".into());
        }
        if matches!(a.sequences, Sequences::Paged { .. }) {
            return Err("keys lie in pages, which matrix tiles do not know".into());
        }
        let fits = |dim: usize| dim.is_multiple_of(16) && (1..=MOST_DIMS).contains(&dim);
        if !fits(d.head_dim) || !fits(d.val_dim) {
            return Err(format!("{} and {} dims: not multiples of 16 up to {MOST_DIMS}", d.head_dim, d.val_dim));
        }
        let quarter = |dim: usize| u32::try_from(dim / 4).unwrap_or(0);
        let (head4, width4, lanes) = (quarter(d.head_dim), quarter(d.val_dim), unit.lanes);
        let (pair_lanes, value_lanes) = (common(head4 / 2, lanes, 8), common(width4, lanes, 8));
        let matrix = Self { unit, head4, pair_lanes, value_lanes };
        let (rows, stream4) = (lanes.min(MOST_ROWS), STREAM4);
        let tile = Tile {
            schedule: Schedule::Matrix(matrix),
            rows,
            cols: lanes / rows,
            own: 1,
            stream4: stream4 / (lanes / rows),
            width4,
            paired: false,
        };
        let evenly = lanes.is_multiple_of(edge)
            && rows.is_multiple_of(edge)
            && [rows, 4 * stream4].iter().all(|n| n.is_multiple_of(lanes / pair_lanes))
            && stream4.is_multiple_of(lanes / value_lanes);
        if !matches!(edge, 8 | 16) || !evenly {
            return Err(format!("matrices of {edge} by {lanes} invocations do not divide the tile evenly"));
        }
        tile.check(limits).map_err(|e| e.to_string())?;
        Ok(tile)
    }

    /// vec4s from a row of queries or keys to the next: 16 bytes beyond its width.
    fn head_stride4(&self) -> u32 {
        self.head4 + 2
    }

    fn stream_tile(&self, tile: &Tile) -> u32 {
        (tile.tile_stream() * self.head_stride4()).max(self.value_tile(tile))
    }

    fn value_tile(&self, tile: &Tile) -> u32 {
        4 * tile.width4 * key_stride4(tile)
    }

    pub(super) fn workgroup_bytes(&self, tile: &Tile) -> u32 {
        let (scores, weights) = (tile.tile_own() * score_stride4(tile), tile.tile_own() * key_stride4(tile));
        let queries = tile.tile_own() * self.head_stride4();
        // Parts of rows, the range, and two words of the softmax.
        16 * scores + 8 * (weights + queries + self.stream_tile(tile)).next_multiple_of(2) + 4 * tile.invocations() + 48
    }

    /// Loop trips of one step of the stream, as written: those that look at values which are not finite.
    pub(super) fn step_trips(&self, tile: &Tile) -> u64 {
        u64::from(self.value_tile(tile).div_ceil(tile.invocations()) + 2 * self.head4 + tile.width4)
    }

    pub(super) fn consts(&self, tile: &Tile) -> Vec<(&'static str, u32)> {
        let (lanes, edge) = (tile.invocations(), self.unit.edge);
        let (own_parts, stream_parts) = (tile.tile_own() / edge, tile.tile_stream() / edge);
        let (head_parts, value_parts) = (4 * self.head4 / edge, 4 * tile.width4 / edge);
        let (pair_rows, quad_rows) = (lanes / self.pair_lanes, lanes / self.value_lanes);
        vec![
            ("INVOCATIONS", lanes),
            ("EDGE", edge),
            ("EDGE4", edge / 4),
            ("PART4", edge / 4 / tile.cols),
            ("COLS", tile.cols),
            ("STREAM", 4 * tile.stream4),
            ("STREAM4", tile.stream4),
            ("OWN_PARTS", own_parts),
            ("STREAM_PARTS", stream_parts),
            ("HEAD_PARTS", head_parts),
            ("VALUE_PARTS", value_parts),
            ("PRODUCTS", own_parts * stream_parts),
            ("QUERY_TILE", tile.tile_own() * self.head_stride4()),
            ("ACCUMULATORS", own_parts * value_parts),
            ("TILE_OWN", tile.tile_own()),
            ("TILE_STREAM", tile.tile_stream()),
            ("HEAD_STRIDE4", self.head_stride4()),
            ("KEY_STRIDE4", key_stride4(tile)),
            ("SCORE_STRIDE4", score_stride4(tile)),
            ("STREAM_TILE", self.stream_tile(tile)),
            ("VALUE_TILE", self.value_tile(tile)),
            ("WEIGHT_TILE", tile.tile_own() * key_stride4(tile)),
            ("SCORE_TILE", tile.tile_own() * score_stride4(tile)),
            ("PAIR_LANES", self.pair_lanes),
            ("PAIR_ROWS", pair_rows),
            ("PAIR_STEPS", self.head4 / (2 * self.pair_lanes)),
            ("OWN_STEPS", tile.tile_own() / pair_rows),
            ("STREAM_STEPS", tile.tile_stream() / pair_rows),
            ("VALUE_LANES", self.value_lanes),
            ("VALUE_STEPS", tile.width4 / self.value_lanes),
            ("QUAD_ROWS", quad_rows),
            ("QUAD_STEPS", tile.tile_stream() / 4 / quad_rows),
        ]
    }

    pub(super) fn aliases(&self) -> Vec<(&'static str, &'static str)> {
        let mut all = self.unit.aliases().to_vec();
        all.extend([("Accumulator", "array<Sum, ACCUMULATORS>"), ("Scores", "array<vec4<f32>, STREAM4>")]);
        all
    }

    /// `matrix16x32.own32.stream32.head64.width64`: edge and invocations.
    pub(super) fn name(&self, tile: &Tile) -> String {
        let (own, stream, head, width) = (tile.tile_own(), tile.tile_stream(), 4 * self.head4, 4 * tile.width4);
        format!("matrix{}x{}.own{own}.stream{stream}.head{head}.width{width}", self.unit.edge, tile.invocations())
    }
}
