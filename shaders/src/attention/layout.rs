//! Where things lie: the words of the `side` scratch, and the members of `params` that are the same for all dispatches of a plan.

use gatefold_core::attention::{Bias, Causal, Normalizer, Sequences};
use gatefold_core::{Attention, Op, Operand, Role};

use super::{dropout, masks, reweight, storage};
use crate::{Limits, Packed, Param, PlanError, Scratch};

/// Name of the scratch that holds small inputs, row statistics and waiting accumulators.
pub(super) const SIDE: &str = "side";
/// "There is none", as an offset in `side`.
const ABSENT: u32 = u32::MAX;
/// A window bound that no position reaches.
pub(super) const UNBOUNDED: i32 = 1 << 30;

/// Small inputs that kernels read inside `side`, and the member of `params` that says where.
const PACKED: &[(&str, &str)] = &[
    ("lens_q", "lens_q_at"),
    ("lens_kv", "lens_kv_at"),
    ("cu_seqlens_q", "cu_q_at"),
    ("cu_seqlens_kv", "cu_kv_at"),
    ("block_table", "table_at"),
    ("head_bias", "head_bias_at"),
    ("key_bias", "key_bias_at"),
    ("alibi_slopes", "slopes_at"),
    ("relative_bias", "relative_at"),
    ("sink", "sink_at"),
    ("sink_key", "sink_key_at"),
    ("log_norm", "log_norm_at"),
    ("rho", "rho_at"),
    ("document_q", "document_q_at"),
    ("document_kv", "document_kv_at"),
    ("block_map", "block_map_at"),
    ("dropout_seed", "dropout_seed_at"),
    ("k_scale", "k_scale_at"),
    ("v_scale", "v_scale_at"),
];
/// How far into its operand a window begins, in elements.
const SHIFTS: [&str; 7] = ["q_shift", "k_shift", "v_shift", "o_shift", "lse_shift", "scale_shift", "score_shift"];
/// Regions that kernels write, and the member of `params` that says where.
const REGIONS: &[&str] = &[
    "lse_at",
    "delta_at",
    "measures_at",
    "levels_at",
    "state_at",
    "row_sums_at",
    "key_sums_at",
    "flags_at",
    "document_ranges_at",
    "heads_at",
    "query_penalty_at",
    "means_at",
];

/// Words of `side` in use.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    packed: Vec<Packed>,
    at: Vec<(&'static str, u32)>,
    words: u64,
}

impl Layout {
    /// Places the small inputs of an op with these operands.
    pub(super) fn new(operands: &[Operand]) -> Self {
        let mut layout = Self { packed: Vec::new(), at: Vec::new(), words: 0 };
        for &(operand, member) in PACKED {
            let Some(o) = operands.iter().find(|o| o.role == Role::Input && o.name == operand) else { continue };
            let offset = layout.reserve(member, o.len() as u64) * 4;
            // a scratch of the steps around a core that would be empty does not exist
            layout.packed.extend((!o.is_empty()).then_some(Packed {
                operand,
                scratch: SIDE,
                offset,
                bytes: o.bytes(),
            }));
        }
        layout
    }

    /// Reserves words for a region and returns the first.
    pub(super) fn reserve(&mut self, member: &'static str, words: u64) -> u64 {
        let first = self.words;
        self.at.push((member, u32::try_from(first).unwrap_or(ABSENT)));
        self.words += words;
        first
    }

    /// The scratch and the packed inputs. Its last word belongs to nothing: kernels read it in the place of an input that is not there (`nowhere`).
    ///
    /// # Errors
    /// [`PlanError::TooLarge`] if the scratch is larger than a binding.
    pub(super) fn finish(self, limits: &Limits) -> Result<(Scratch, Vec<Packed>), PlanError> {
        let bytes = (self.words + 1).max(4) * 4;
        if bytes > limits.binding_bytes || self.words >= u64::from(ABSENT) {
            return Err(PlanError::TooLarge { operand: SIDE.into(), need: bytes, have: limits.binding_bytes });
        }
        Ok((Scratch { name: SIDE, bytes }, self.packed))
    }

    /// Makes room for what `other`, a copy of this layout with more regions, uses.
    pub(super) fn grow_to(&mut self, other: &Self) {
        self.words = self.words.max(other.words);
    }

    fn offset(&self, member: &str) -> u32 {
        self.at.iter().find(|(m, _)| *m == member).map_or(ABSENT, |&(_, at)| at)
    }
}

/// `params` of one dispatch, by name.
#[derive(Debug, Clone)]
pub(super) struct Members(Vec<(&'static str, Param)>);

impl Members {
    /// What is the same for all dispatches of `a`.
    pub(super) fn new(a: &Attention, layout: &Layout) -> Self {
        let d = &a.dims;
        let (packed, (page, pages)) = (packed(a), pages(a));
        let (bias, from_len) = bias_value(a);
        let (low, high) = window(a);
        let matrix = d.seq_q * d.seq_kv;
        let (score_batch, score_head) = a.score_bias.map_or((0, 0), |s| {
            let head = if s.per_head { matrix } else { 0 };
            (if s.per_batch { matrix * if s.per_head { d.q_heads } else { 1 } } else { 0 }, head)
        });
        let mut all = vec![
            ("batch", size(d.batch)),
            ("q_heads", size(d.q_heads)),
            ("kv_heads", size(d.kv_heads)),
            ("seq_q", size(d.seq_q)),
            ("seq_kv", size(d.seq_kv)),
            ("head_dim", size(d.head_dim)),
            ("val_dim", size(d.val_dim)),
            ("batch_rows", Param::U32(u32::try_from(row_count(a)).unwrap_or(ABSENT))),
            ("packed_rows", Param::U32(packed.is_some().into())),
            ("total_q", size(packed.map_or(0, |p| p.0))),
            ("total_kv", size(packed.map_or(0, |p| p.1))),
            ("table_pages", size(d.seq_kv.div_ceil(page))),
            ("page", size(page)),
            ("pages", size(pages)),
            ("score_batch", size(score_batch)),
            ("score_head", size(score_head)),
            ("scale", Param::F32(a.scale_value())),
            ("softcap", Param::F32(a.softcap.unwrap_or(1.0))),
            ("bias", Param::F32(bias)),
            ("bias_from_len", Param::U32(from_len.into())),
            ("weight_number", Param::F32(a.weight.number().unwrap_or(0.0))),
            ("count_power", Param::F32(count_power(a))),
            ("norm_eps", Param::F32(a.normalizer.of_head().unwrap_or(0.0))),
            ("low_shift", Param::I32(low)),
            ("high_shift", Param::I32(high)),
            ("top_left", Param::U32((a.causal == Causal::TopLeft).into())),
            ("bottom_right", Param::U32((a.causal == Causal::BottomRight).into())),
            ("prefix", Param::U32(a.prefix.unwrap_or(0))),
            ("chunk", Param::U32(a.chunk.unwrap_or(0))),
            ("first_group", Param::U32(0)),
            ("group_count", Param::U32(0)),
            ("stream_from", Param::U32(0)),
            ("stream_to", Param::U32(0)),
            ("splits", Param::U32(1)),
            ("split_keys", size(d.seq_kv)),
            ("reach", Param::I32(a.relative_bias.map_or(0, |table| table.reach.cast_signed()))),
            ("relative_before", size(0)),
            ("relative_walks", size(0)),
            ("sink_rows", Param::U32(a.sink_key.into())),
            ("key_bias_heads", Param::U32(a.key_bias_per_head.into())),
        ];
        all.extend(SHIFTS.map(|member| (member, size(0))));
        all.extend(of_maps(a));
        all.extend(masks::members(a).into_iter().chain(reweight::members(a)).chain(dropout::members(a)));
        let members = PACKED.iter().map(|&(_, m)| m).chain(REGIONS.iter().copied());
        all.extend(members.map(|m| (m, Param::U32(layout.offset(m)))));
        Self(all)
    }

    /// What is the same for the steps around the core of `a`, which read the small inputs where the core's plan has them.
    pub(super) fn around_core(a: &Attention) -> Self {
        Self::new(a, &Layout::new(&storage::beside_scales(&a.core())))
    }

    /// The same with one member changed.
    pub(super) fn set(&mut self, member: &'static str, value: u32) {
        for (name, param) in &mut self.0 {
            if *name == member {
                *param = Param::U32(value);
            }
        }
    }

    /// The same for a member that is a float.
    pub(super) fn set_f32(&mut self, member: &'static str, value: f32) {
        for (name, param) in &mut self.0 {
            if *name == member {
                *param = Param::F32(value);
            }
        }
    }

    pub(super) fn into_params(self) -> Vec<(&'static str, Param)> {
        self.0
    }
}

/// What maps of rows set to their own.
fn of_maps(a: &Attention) -> [(&'static str, Param); 5] {
    let zero = Param::F32(0.0);
    let log_width = Param::F32(log_width(a));
    [("row_width", size(0)), ("eps", zero), ("log_width", log_width), ("key_penalty", zero), ("query_penalty", zero)]
}

/// Rows of packed queries and keys.
fn packed(a: &Attention) -> Option<(usize, usize)> {
    if let Sequences::Packed { total_q, total_kv } = a.sequences { Some((total_q, total_kv)) } else { None }
}

/// Keys in a page and pages; 1 where there are none.
fn pages(a: &Attention) -> (usize, usize) {
    if let Sequences::Paged { page, pages } = a.sequences { (page, pages) } else { (1, 1) }
}

pub(super) fn size(n: usize) -> Param {
    Param::U32(u32::try_from(n).unwrap_or(u32::MAX))
}

/// `ln head_dim`.
fn log_width(a: &Attention) -> f32 {
    #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
    let log = (a.dims.head_dim as f64).ln() as f32;
    log
}

/// The power of a count that normalises, where there is one.
fn count_power(a: &Attention) -> f32 {
    if let Normalizer::CountPower(power) = a.normalizer { power } else { 0.0 }
}

/// The constant part of the bias in f32, and whether `−ln len_kv` is still to be added.
fn bias_value(a: &Attention) -> (f32, bool) {
    match a.bias {
        Bias::Const(b) => (b, false),
        Bias::NegLogLen => (0.0, true),
        Bias::NegLogKeys => {
            #[allow(clippy::cast_possible_truncation, reason = "rounding to f32 is meant")]
            let b = -(a.dims.seq_kv.max(1) as f64).ln() as f32;
            (b, false)
        }
    }
}

/// Bounds on `j − i − off`: the window, tightened by a bottom-right causal mask.
fn window(a: &Attention) -> (i32, i32) {
    let bound = |w: Option<u32>| w.and_then(|w| i32::try_from(w).ok()).map_or(UNBOUNDED, |w| w.min(UNBOUNDED));
    // Sink tokens lie before the window, so that what a query sees begins with them.
    let low = -bound(a.window.left.filter(|_| !a.has_gap()));
    let high = bound(a.window.right);
    // With a prefix the causal mask is not a bound on `j − i − off` alone.
    let folds = a.causal == Causal::BottomRight && a.prefix.is_none();
    (low, if folds { high.min(0) } else { high })
}

/// Rows of `q` (and of the per-row regions) over all heads.
pub(super) fn row_count(a: &Attention) -> u64 {
    a.row_dims().iter().map(|&n| n as u64).product()
}

/// Rows of queries, or of keys, over all sequences and heads; of packed sequences, as many as there would be if all were as long as the longest.
pub(super) fn map_rows(a: &Attention, of_queries: bool) -> u64 {
    let d = &a.dims;
    let (heads, seq) = if of_queries { (d.q_heads, d.seq_q) } else { (d.kv_heads, d.seq_kv) };
    (d.batch * heads * seq) as u64
}

/// Rows of `k` per key/value head: keys over all batch entries, or places of a cache.
pub(super) fn key_count(a: &Attention) -> u64 {
    match a.sequences {
        Sequences::Packed { total_kv, .. } => total_kv as u64,
        Sequences::Paged { page, pages } => (page * pages) as u64,
        _ => a.dims.batch as u64 * a.dims.seq_kv as u64,
    }
}

/// Bytes of an operand of `op`.
pub(super) fn operand_bytes<O: Op>(op: &O, name: &str) -> u64 {
    op.operands().iter().find(|o| o.name == name).map_or(0, Operand::bytes)
}
