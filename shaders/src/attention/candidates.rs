//! The tiles that a tuner may take instead of the table's.

use super::tiles::Schedule::{Lanes, SmallMicroTile};
use super::tiles::Stage::{self, Forward};
use super::tiles::{COLS, Setting, Tile, schedule};
use crate::{Limits, PlanError};

/// Own rows and vec4s of stream positions of the `Lanes` tiles that a tuner may try.
const LANES_TRIED: [(u32, u32); 6] = [(32, 2), (32, 1), (24, 1), (16, 2), (16, 1), (8, 1)];
/// Most vec4s of accumulators that a tile keeps in registers: what is beyond spills, and takes long to compile.
const MOST_ACCUMULATORS: u32 = 128;

impl Tile {
    /// Tiles that could serve instead, the table's own first; all fit the adapter. Of the same schedule, with other counts of rows and
    /// positions; and one of `SmallMicroTile` beside `Lanes`, for drivers whose shuffles are slow.
    pub(super) fn candidates(
        stage: Stage,
        dim: usize,
        positions: usize,
        limits: &Limits,
    ) -> Result<Vec<Self>, PlanError> {
        let mut all = vec![Self::choose(stage, dim, positions, limits)?.0];
        let (schedule, cols, _) = schedule(limits);
        let setting = Setting::new((schedule, cols), stage, (dim, positions), limits);
        let kept = if stage == Forward { 1 } else { 2 };
        if schedule == Lanes {
            let long = positions.next_power_of_two();
            let serves = |&(own, _): &(u32, u32)| {
                own % cols == 0 && kept * own * setting.width4 <= MOST_ACCUMULATORS && 2 * own as usize <= long
            };
            all.extend(LANES_TRIED.into_iter().filter(serves).map(|(own, stream4)| setting.tile(own, stream4)));
            all.extend(Setting::new((SmallMicroTile, COLS), stage, (dim, positions), limits).table().take(1));
        } else {
            all.extend(setting.table());
            // Workgroups of half and of double the size.
            for rows in [COLS / 2, COLS, 2 * COLS] {
                all.extend(setting.with_rows(rows).table().take(2));
            }
        }
        let mut tiles: Vec<Self> = Vec::with_capacity(all.len());
        for tile in all {
            if tile.stages_whole() && tile.check(limits).is_ok() && !tiles.contains(&tile) {
                tiles.push(tile);
            }
        }
        Ok(tiles)
    }
}
