//! What local-linear attention changes in plans. In the forward pass half of a tile's own rows are slopes, so that the kernel, its schedules and what joins
//! shares stay as they are, and keys and values are staged once for both products; what is saved of rows waits in side. Its gradients have kernels of
//! their own, with one product and one sum more.

use gatefold_core::{Attention, Dtype};

use super::backward::Planner;
use super::classes::Wanted;
use super::layout::{Layout, Members, operand_bytes, row_count};
use super::split::{Parted, Work};
use super::tiles::{Stage, Tile};
use super::{FLAT, Parts, QueryOperand, Variant, files, flat_step, heads_contiguous, masks, query_work, step_work};
use crate::source::wgsl;
use crate::{Limits, PlanError, ShapeClass, Source, Step};

pub(super) const OWN_PAIRS: Source = wgsl!("attention/access/own_pairs.wgsl");
pub(super) const ROW: Source = wgsl!("attention/row/local_linear.wgsl");
pub(super) const WEIGHT: Source = wgsl!("attention/weight/local_linear.wgsl");
pub(super) const SCAN_KEY: Source = wgsl!("attention/scan/key_slopes.wgsl");
pub(super) const BACKWARD_QUERY: Source = wgsl!("attention/local_linear/backward_query.wgsl");
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

impl Planner<'_> {
    /// The step of `d_q` and `d_r`.
    pub(super) fn linear_query(&mut self) -> Result<(), PlanError> {
        let a = &self.op.forward;
        let d = &a.dims;
        let (tile, why) = Tile::choose(Stage::BackwardKeyValue, d.head_dim, d.seq_q, self.limits)?;
        self.reasons.push(why);
        let operands = [("d_o", "o_shift", d.val_dim), ("d_q", "q_shift", d.head_dim), ("d_r", "q_shift", d.head_dim)]
            .map(|(name, shift, width)| QueryOperand { name, shift, width, dtype: a.dtype });
        let mut work = query_work(a, self.op, "attention_backward_query", &tile, self.limits, &operands);
        let products = 2 * tile.product_trips(d.head_dim) + tile.product_trips(d.val_dim);
        work.step_trips = 1 + products + 2 * tile.accumulate_trips() + masks::tile_trips(a, &tile, 1);
        work.step_work = step_work(&tile, 4 * d.head_dim + d.val_dim);
        let sum_state = if self.sums_rows() { 2 } else { 0 };
        let state = tile.own * (8 * tile.width4 + sum_state);
        let mut variant = Variant::new("attention_backward_query", a);
        variant.slot(files::sums(self.sums_rows(), false));
        self.tile_step(work, variant, (BACKWARD_QUERY, ACCESS_BY_QUERY), &tile, state)
    }

    /// The step of `d_k` and `d_v`.
    pub(super) fn linear_key_value(&mut self) -> Result<(), PlanError> {
        let a = &self.op.forward;
        let d = &a.dims;
        let (tile, why) = Wanted { a, stage: Stage::BackwardKeyValue }.tile(self.limits)?;
        self.reasons.extend(why.into_iter().skip(1));
        let group = d.group() as u64;
        let operands = [QueryOperand { name: "d_o", shift: "o_shift", width: d.val_dim, dtype: a.dtype }];
        let mut work = query_work(a, self.op, "attention_backward_key_value", &tile, self.limits, &operands);
        let parts = Parts { a, q_heads: group };
        work.parted.push(parts.key("d_k", "k_shift", d.head_dim, operand_bytes(self.op, "d_k")));
        work.parted.push(parts.key("d_v", "v_shift", d.val_dim, operand_bytes(self.op, "d_v")));
        work.groups_per_unit = (d.seq_kv as u64).div_ceil(tile.tile_own().into());
        work.stream = d.seq_q as u64;
        let products = 2 * tile.product_trips(d.head_dim) + tile.product_trips(d.val_dim);
        work.step_trips = group * (2 + products + 3 * tile.accumulate_trips() + masks::tile_trips(a, &tile, 1));
        work.step_work = group as f64 * step_work(&tile, 4 * d.head_dim + 2 * d.val_dim);
        let state = tile.own * (8 * tile.width4 + u32::from(a.key_bias));
        let mut variant = Variant::new("attention_backward_key_value", a);
        variant.slot(files::sums(false, a.key_bias));
        self.tile_step(work, variant, (BACKWARD_KEY_VALUE, ACCESS_BY_KEY), &tile, state)
    }
}
