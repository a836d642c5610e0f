//! Built-in masks that hide pairs inside the range of keys that a query sees: sink tokens, documents, a block map.
//!
//! One kernel does all of them, whichever there are: `params` say so. The user's own mask may stand beside them.

use gatefold_core::Attention;

use super::custom;
use super::files;
use super::layout::{UNBOUNDED, size};
use super::tiles::Tile;
use crate::source::wgsl;
use crate::{Param, Source};

/// Fewest queries and keys of a block of the map.
const LEAST_BLOCK: u32 = 16;

/// The files of slot `mask_mod` in kernels that look at pairs one by one.
pub(super) fn mask_mod(a: &Attention) -> (Vec<Source>, &'static str) {
    if !a.hides_inside() {
        return custom::mask_mod(a, files::MASK_MOD_NONE, files::MASK_MOD_CUSTOM);
    }
    let (none, caller) = (wgsl!("attention/mask_mod/own_none.wgsl"), wgsl!("attention/mask_mod/own_custom.wgsl"));
    let (mut slots, part) = custom::mask_mod(a, none, caller);
    slots.push(wgsl!("attention/mask_mod/listed.wgsl"));
    (slots, custom::interned(&format!("{part}.listed")))
}

/// The same in kernels that run over tiles, and skip those that are hidden.
pub(super) fn tile_mask_mod(a: &Attention) -> (Vec<Source>, &'static str) {
    let (mut slots, part) = mask_mod(a);
    slots.extend(a.hides_inside().then_some(wgsl!("attention/mask_mod/listed_tiles.wgsl")));
    (slots, part)
}

/// Loop trips that finding out about a tile of this many heads takes.
pub(super) fn tile_trips(a: &Attention, tile: &Tile, heads: u64) -> u64 {
    if !a.hides_inside() {
        return 0;
    }
    let blocks = |n: u32| u64::from(n.div_ceil(LEAST_BLOCK) + 1);
    // once to skip it, once to take it as seen whole
    2 + 2 * heads * (1 + blocks(tile.tile_own()) * (1 + blocks(tile.tile_stream())))
}

/// The members of `params` that say which masks there are.
pub(super) fn members(a: &Attention) -> [(&'static str, Param); 7] {
    let left = a.window.left.filter(|_| a.has_gap()).and_then(|n| i32::try_from(n).ok());
    let (map, dims) = (a.block_map, a.block_map_dims().unwrap_or_else(|| vec![1; 4]));
    let matrix = dims[2] * dims[3];
    let stride = |own: bool, n: usize| size(if own { n } else { 0 });
    [
        ("sink_tokens", Param::U32(a.sink_tokens.unwrap_or(0))),
        ("gap_shift", Param::I32(-left.unwrap_or(UNBOUNDED))),
        ("block_q", Param::U32(map.map_or(1, |m| m.q))),
        ("block_kv", Param::U32(map.map_or(1, |m| m.kv))),
        ("map_columns", size(dims[3])),
        ("map_head", stride(map.is_some_and(|m| m.per_head), matrix)),
        ("map_batch", stride(map.is_some_and(|m| m.per_batch), matrix * dims[1])),
    ]
}
