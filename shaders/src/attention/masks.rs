//! Built-in masks that hide pairs inside the range of keys that a query sees: sink tokens, documents, a block map.
//!
//! One kernel does all of them, whichever there are: `params` say so. The user's own mask may stand beside them.

use gatefold_core::Attention;

use super::layout::{Layout, Members, UNBOUNDED, size};
use super::split::Work;
use super::tiles::Tile;
use super::{FLAT, custom, files, flat_step};
use crate::source::wgsl;
use crate::{Limits, Param, PlanError, Source, Step};

/// Fewest queries and keys of a block of the map, and as many as have a range of documents (`DOCUMENT_BLOCK`).
const LEAST_BLOCK: u32 = 16;
/// A block that holds all.
const WHOLE: u32 = 1 << 30;

const OWN_NONE: Source = wgsl!("attention/mask_mod/own_none.wgsl");
const LISTED: Source = wgsl!("attention/mask_mod/listed.wgsl");

/// The files of slot `mask_mod` in kernels that look at pairs one by one.
pub(super) fn mask_mod(a: &Attention) -> (Vec<Source>, &'static str) {
    if !a.hides_inside() {
        return custom::mask_mod(a, files::MASK_MOD_NONE, files::MASK_MOD_CUSTOM);
    }
    let (mut slots, part) = custom::mask_mod(a, OWN_NONE, wgsl!("attention/mask_mod/own_custom.wgsl"));
    slots.push(LISTED);
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
    let (own, stream) = (blocks(tile.tile_own()), blocks(tile.tile_stream()));
    // once to skip it, once to take it as seen whole
    2 + 2 * (own + stream + heads * (1 + own * (1 + stream)))
}

/// Blocks of queries and keys that have a range of documents.
fn document_blocks(a: &Attention) -> u64 {
    let blocks = |n: usize| n.div_ceil(LEAST_BLOCK as usize) as u64;
    a.dims.batch as u64 * (blocks(a.dims.seq_q) + blocks(a.dims.seq_kv))
}

/// Reserves the words that kernels over tiles look documents up in.
pub(super) fn reserve_ranges(a: &Attention, layout: &mut Layout) {
    if a.documents {
        layout.reserve("document_ranges_at", 2 * document_blocks(a));
    }
}

/// The step that finds ranges of documents, if there are any.
pub(super) fn document_ranges(a: &Attention, layout: &Layout, limits: &Limits) -> Result<Option<Step>, PlanError> {
    if !a.documents {
        return Ok(None);
    }
    let (groups, block) = (document_blocks(a).div_ceil(FLAT.into()), u64::from(LEAST_BLOCK));
    let work = Work { step_trips: block, ..Work::flat("attention_document_ranges", groups, block) };
    let split = work.split(&Members::new(a, layout), limits)?;
    let slots = vec![files::SHAPE, OWN_NONE, LISTED];
    Ok(Some(flat_step(work.kernel.into(), (wgsl!("attention/document_ranges.wgsl"), slots), None, split)))
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
        ("block_q", Param::U32(map.map_or(WHOLE, |m| m.q))),
        ("block_kv", Param::U32(map.map_or(WHOLE, |m| m.kv))),
        ("map_columns", size(dims[3])),
        ("map_head", stride(map.is_some_and(|m| m.per_head), matrix)),
        ("map_batch", stride(map.is_some_and(|m| m.per_batch), matrix * dims[1])),
    ]
}
