//! What local-linear attention changes in plans. In the forward pass half of a tile's own rows are slopes, so that the kernel, its schedules and what joins
//! shares stay as they are, and keys and values are staged once for both products; what is saved of rows waits in side. Its gradients have kernels of
//! their own, with one product and one sum more.

use gatefold_core::{Attention, Dtype};

use super::classes::Wanted;
use super::layout::{Layout, Members, operand_bytes, row_count};
use super::split::{Parted, Work};
use super::tiles::{Stage, Tile};
use super::{FLAT, QueryOperand, files, flat_step, heads_contiguous};
use crate::source::wgsl;
use crate::{Limits, PlanError, ShapeClass, Source, Step};

pub(super) const OWN_PAIRS: Source = wgsl!("attention/access/own_pairs.wgsl");
pub(super) const ROW: Source = wgsl!("attention/row/local_linear.wgsl");
pub(super) const WEIGHT: Source = wgsl!("attention/weight/local_linear.wgsl");
pub(super) const SCAN_KEY: Source = wgsl!("attention/scan/key_slopes.wgsl");
const BACKWARD_QUERY: Source = wgsl!("attention/local_linear/backward_query.wgsl");
const BACKWARD_KEY_VALUE: Source = wgsl!("attention/local_linear/backward_key_value.wgsl");
const STORE_MOMENTS: Source = wgsl!("attention/local_linear/store_moments.wgsl");
const MOMENTS_NONE: Source = wgsl!("attention/moments/none.wgsl");
const MOMENTS_SIDE: Source = wgsl!("attention/moments/side.wgsl");
const ACCESS_BY_QUERY: [Source; 2] =
    [wgsl!("attention/access/own_queries_slopes.wgsl"), wgsl!("attention/access/stream_keys.wgsl")];
const ACCESS_BY_KEY: [Source; 2] =
    [wgsl!("attention/access/own_keys.wgsl"), wgsl!("attention/access/stream_queries_slopes.wgsl")];

/// Part of the names of variants.
pub(super) fn label(a: &Attention) -> &'static str {
    if a.local_linear { ".local_linear" } else { "" }
}

fn is_aligned(a: &Attention) -> bool {
    a.dims.head_dim.is_multiple_of(4) && a.dims.val_dim.is_multiple_of(4)
}

/// Slot `load_slopes`.
pub(super) fn load(a: &Attention) -> Option<Source> {
    a.local_linear.then(|| match is_aligned(a) {
        true => wgsl!("attention/io/slopes_vec4.wgsl"),
        false => wgsl!("attention/io/slopes_scalar.wgsl"),
    })
}

/// Slot `store_moments`.
pub(super) fn store(a: &Attention) -> Option<Source> {
    a.local_linear.then(|| match is_aligned(a) {
        true => wgsl!("attention/io/moments_vec4.wgsl"),
        false => wgsl!("attention/io/moments_scalar.wgsl"),
    })
}

/// What a forward tile stores of its rows.
pub(super) fn store_rows(a: &Attention) -> Source {
    if a.local_linear { wgsl!("attention/local_linear/store_pairs.wgsl") } else { files::STORE_ROWS }
}

/// What a tile kernel, or one that marks, writes beside `o` where something is saved of rows.
pub(super) fn saved(a: &Attention, name: &'static str) -> QueryOperand {
    if a.local_linear {
        return QueryOperand { name: "v_mean", shift: "o_shift", width: a.dims.val_dim, dtype: a.dtype };
    }
    QueryOperand { name, shift: "lse_shift", width: 1, dtype: Dtype::F32 }
}

fn moments(wanted: Option<&str>) -> (Source, &'static str) {
    match wanted {
        None => (MOMENTS_NONE, ""),
        Some(_) => (MOMENTS_SIDE, ".moments"),
    }
}

/// Slot `lse` of the forward kernels, or `moments`.
pub(super) fn saving(a: &Attention, wanted: Option<&str>) -> (Vec<Source>, &'static str) {
    let (file, part) = if a.local_linear { moments(wanted) } else { files::lse(wanted) };
    ([file].into_iter().chain(store(a)).collect(), part)
}

/// The same of the kernel that marks rows.
pub(super) fn marked(a: &Attention, wanted: Option<&str>) -> (Source, &'static str) {
    if a.local_linear { moments(wanted) } else { files::marked(a, wanted) }
}

/// What a marked row is.
pub(super) fn mark(a: &Attention, gradient: bool) -> Source {
    match (a.local_linear, gradient) {
        (false, false) => files::MARK_OUTPUT,
        (false, true) => files::MARK_GRADIENT,
        (true, false) => wgsl!("attention/mark/output_moments.wgsl"),
        (true, true) => wgsl!("attention/mark/gradient_slopes.wgsl"),
    }
}

/// Slot `scan` of query rows.
pub(super) fn scan(gradient: bool) -> Source {
    if gradient {
        wgsl!("attention/scan/query_gradient_slopes.wgsl")
    } else {
        wgsl!("attention/scan/query_slopes.wgsl")
    }
}

/// Slot `numbers` of softmax rows.
pub(super) fn numbers(a: &Attention) -> Source {
    if a.local_linear { wgsl!("attention/numbers/local_linear.wgsl") } else { files::NUMBERS_SOFTMAX }
}

/// Reserves two words of every row.
pub(super) fn reserve(a: &Attention, layout: &mut Layout) {
    if a.local_linear {
        layout.reserve("means_at", 2 * row_count(a));
    }
}

/// The step that returns what the tile kernel left of rows.
pub(super) fn store_moments(a: &Attention, layout: &Layout, limits: &Limits) -> Result<Option<Step>, PlanError> {
    if !a.local_linear {
        return Ok(None);
    }
    let (kernel, rows) = ("attention_store_moments", row_count(a));
    let part = |name| Parted::rows(name, "lse_shift", operand_bytes(a, name), 1, 4);
    let work = Work {
        divisible: heads_contiguous(a),
        parted: ["lse", "rk_mean"].map(part).into(),
        stream_step: rows,
        ..Work::flat(kernel, rows.div_ceil(FLAT.into()), rows)
    };
    let split = work.split(&Members::new(a, layout), limits)?;
    Ok(Some(flat_step(kernel.into(), (STORE_MOMENTS, vec![files::SHAPE]), None, split)))
}

/// Both gradient kernels keep two accumulators; the tuner looks at the one by key.
pub(super) fn classes(a: &Attention, limits: &Limits) -> Vec<ShapeClass> {
    let wanted = Wanted { a, stage: Stage::BackwardKeyValue };
    (a.dims.seq_kv > 0).then(|| wanted.class(limits)).flatten().into_iter().collect()
}

/// The kernel of the gradients by query, or by key, and which operands own and stream in it.
pub(super) fn backward(a: &Attention, by_query: bool) -> (Source, [Source; 2]) {
    match (a.local_linear, by_query) {
        (false, true) => (files::BACKWARD_QUERY, files::ACCESS_BY_QUERY),
        (false, false) => (files::BACKWARD_KEY_VALUE, files::ACCESS_BY_KEY),
        (true, true) => (BACKWARD_QUERY, ACCESS_BY_QUERY),
        (true, false) => (BACKWARD_KEY_VALUE, ACCESS_BY_KEY),
    }
}

/// The tile of the gradients by query: two accumulators, of d_q and d_r, are held as those of d_k and d_v are.
pub(super) fn query_tile(a: &Attention, limits: &Limits) -> Result<(Tile, Vec<String>), PlanError> {
    if !a.local_linear {
        return Wanted { a, stage: Stage::BackwardQuery }.tile(limits);
    }
    let (tile, why) = Tile::choose(Stage::BackwardKeyValue, a.dims.head_dim, a.dims.seq_q, limits)?;
    Ok((tile, vec![why]))
}
