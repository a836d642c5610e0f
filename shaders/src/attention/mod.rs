//! Attention: plans of the forward and backward kernels.

mod affine;
mod backward;
pub(crate) mod block_sums;
mod cache;
mod candidates;
mod classes;
mod custom;
mod diagnostics;
mod dressed;
mod dropout;
mod files;
mod finish;
mod forward;
mod frobenius;
mod injection;
mod layout;
mod local_linear;
mod loops;
mod marks;
mod masks;
mod matrix;
mod merge;
mod penalty;
mod query_penalty;
mod relative;
mod reweight;
mod rotary;
mod row_files;
mod row_map;
mod shares;
mod sink_key;
mod split;
mod statistics;
mod storage;
mod tiles;

use gatefold_core::attention::Sequences;
use gatefold_core::{Attention, Dtype, Op};

use crate::{Kernels, Limits, Plan, PlanError, ShapeClass, Source, Step};
use classes::Wanted;
use forward::Forward;
use layout::operand_bytes;
use split::{Parted, Split, Work};
use tiles::{Schedule, Stage, Tile};

/// Invocations of the kernels that work on one row or key each.
const FLAT: u32 = 64;

/// The files that every variant of a kernel links, and the variant's name.
struct Variant {
    name: String,
    slots: Vec<Source>,
}

impl Variant {
    fn new(kernel: &str, a: &Attention) -> Self {
        let more = [reweight::label(a), local_linear::label(a).to_string()].concat();
        let name = format!("{kernel}.{}{more}", custom::weight_label(a));
        Self { name, slots: vec![files::SHAPE] }
    }

    /// Adds a slot file whose choice shows in the name.
    fn slot(&mut self, (file, part): (Source, &'static str)) {
        self.slots.push(file);
        self.name.push_str(part);
    }

    /// Adds slot files whose choice shows in the name.
    fn slots(&mut self, (files, part): (Vec<Source>, &'static str)) {
        self.slots.extend(files);
        self.name.push_str(part);
    }

    /// The slots that all tile kernels share.
    fn tile_slots(&mut self, a: &Attention, access: [Source; 2], tile: &Tile) {
        self.slots.push(files::SCORE);
        self.slots.extend(access);
        self.slots(files::softcap(a));
        self.slots(custom::score_mod(a));
        self.slots(masks::tile_mask_mod(a));
        self.slot(files::bias(a));
        self.slot(files::keys(a));
        self.slot(files::mask(a));
        self.slot(files::finite(a));
        self.slots.push(files::schedule(tile));
    }

    fn step(self, a: &Attention, kernel: Source, tile: &Tile, state: u32, split: Split) -> Step {
        let (load, store, io) = files::io(a);
        let mut slots = self.slots;
        slots.extend(load);
        slots.extend([store, files::NARROW, files::FINISH]);
        let mut consts = tile.consts();
        consts.push(("STATE_WORDS", state));
        consts.extend(a.weight.degree().map(|n| ("DEGREE", n)));
        consts.extend(a.reweight.map(|r| ("POWER", r.power)));
        let proven = custom::is_ours(&slots);
        Step {
            slots,
            consts,
            aliases: std::iter::once(files::elem(a.dtype)).chain(tile.aliases()).collect(),
            f16: a.dtype == Dtype::F16,
            subgroups: tile.schedule == Schedule::Lanes,
            matrix: matches!(tile.schedule, Schedule::Matrix(_)),
            trips: split.trips,
            proven,
            ..Step::plain(format!("{}.{}.{io}.{}", self.name, a.dtype, tile.name()), kernel, split.dispatches)
        }
    }
}

/// A step of a kernel that works on a row or key an invocation; `dtype` if it reads operands of that type.
fn flat_step(name: String, (kernel, slots): (Source, Vec<Source>), dtype: Option<Dtype>, split: Split) -> Step {
    let proven = custom::is_ours(&slots);
    Step {
        slots,
        consts: vec![("INVOCATIONS", FLAT)],
        aliases: dtype.map(files::elem).into_iter().collect(),
        f16: dtype == Some(Dtype::F16),
        trips: split.trips,
        proven,
        ..Step::plain(name, kernel, split.dispatches)
    }
}

/// The operands of an attention that are laid out by batch entry and head.
struct Parts<'a> {
    a: &'a Attention,
    /// Query heads per unit: those that share a key/value head.
    q_heads: u64,
}

impl Parts<'_> {
    fn query(&self, operand: &'static str, shift: &'static str, width: usize, dtype: Dtype, whole: u64) -> Parted {
        let element = dtype.size() as u64;
        let unit_bytes = self.q_heads * self.a.dims.seq_q as u64 * width as u64 * element;
        Parted { operand, shift, bytes: whole, unit_bytes, element }
    }

    fn key(&self, operand: &'static str, shift: &'static str, width: usize, whole: u64) -> Parted {
        let (width, dtype) = self.a.storage.row(width, self.a.dtype);
        let element = dtype.size() as u64;
        let unit_bytes = self.a.dims.seq_kv as u64 * width as u64 * element;
        Parted { operand, shift, bytes: whole, unit_bytes, element }
    }

    fn score_bias(&self, whole: u64) -> Parted {
        let own = self.a.score_bias.is_some_and(|s| s.per_batch && s.per_head);
        let matrix = self.a.dims.seq_q as u64 * self.a.dims.seq_kv as u64 * 4;
        let unit_bytes = if own { self.q_heads * matrix } else { 0 };
        Parted { operand: "score_bias", shift: "score_shift", bytes: whole, unit_bytes, element: 4 }
    }
}

/// The adapter must be able to store what the op stores.
fn check_features(a: &Attention, limits: &Limits) -> Result<(), PlanError> {
    if a.dtype == Dtype::F16 && !limits.f16 {
        return Err(PlanError::Feature { operand: "q, k, v in f16".into(), feature: "shader-f16" });
    }
    custom::check(a)
}

/// Whether heads lie one after another, so that a range of them is a range of bytes.
fn heads_contiguous(a: &Attention) -> bool {
    !matches!(a.sequences, Sequences::Packed { .. } | Sequences::Paged { .. })
}

/// Multiply-adds of one tile step of a workgroup that makes products over `dims` dims in all.
fn step_work(tile: &Tile, dims: usize) -> f64 {
    f64::from(tile.tile_own()) * f64::from(tile.tile_stream()) * dims as f64
}

/// Most stream positions that a workgroup's tile of own positions sees, in whole tiles: a window bounds them, whichever side owns.
fn visited(a: &Attention, tile: &Tile) -> u64 {
    let Some(width) = a.widest() else { return u64::MAX };
    let seen = width + u64::from(tile.tile_own());
    seen.next_multiple_of(tile.tile_stream().into()) + u64::from(tile.tile_stream())
}

/// Work of a kernel that runs by query head, cut into key/value groups: what a window binds is a range of heads.
fn query_work<O: Op>(
    a: &Attention,
    op: &O,
    kernel: &'static str,
    tile: &Tile,
    limits: &Limits,
    more: &[QueryOperand],
) -> Work {
    let d = &a.dims;
    let group = d.group() as u64;
    let parts = Parts { a, q_heads: group };
    let bytes = |name| operand_bytes(op, name);
    let mut parted = vec![
        parts.query("q", "q_shift", d.head_dim, a.dtype, bytes("q")),
        parts.key("k", "k_shift", d.head_dim, bytes("k")),
        parts.key("v", "v_shift", d.val_dim, bytes("v")),
    ];
    parted.extend(storage::scales(a, op, d.seq_kv as u64));
    if a.score_bias.is_some() {
        parted.push(parts.score_bias(bytes("score_bias")));
    }
    if a.local_linear {
        parted.push(parts.query("r", "q_shift", d.head_dim, a.dtype, bytes("r")));
    }
    for o in more {
        parted.push(parts.query(o.name, o.shift, o.width, o.dtype, bytes(o.name)));
    }
    let tiles = (d.seq_q as u64).div_ceil(tile.tile_queries().into());
    Work {
        kernel,
        units: (d.batch * d.kv_heads) as u64,
        groups_per_unit: group * tiles,
        divisible: heads_contiguous(a) && limits.binding_bytes > limits.offset_alignment,
        parted,
        stream: d.seq_kv as u64,
        stream_step: tile.tile_stream().into(),
        visited: visited(a, tile),
        step_trips: 0,
        step_work: 0.0,
        fixed_trips: 0,
    }
}

/// An operand with a row per query.
struct QueryOperand {
    name: &'static str,
    shift: &'static str,
    width: usize,
    dtype: Dtype,
}

impl Kernels for Attention {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        check_features(self, limits)?;
        if !self.is_core() {
            return dressed::forward(self, &self.core(), limits);
        }
        let d = &self.dims;
        let mut plan = Plan { op: Self::NAME, ..Plan::default() };
        if d.batch == 0 || d.seq_q == 0 {
            plan.reasons.push("no queries: nothing to run".into());
            return Ok(plan);
        }
        match self.normalizer.of_head() {
            Some(_) => frobenius::forward(self, limits, &mut plan)?,
            None => Forward::new(self, limits, &mut plan)?.plan(&mut plan)?,
        }
        custom::check_names(&plan.steps)?;
        Ok(plan)
    }

    fn classes(&self, limits: &Limits) -> Vec<ShapeClass> {
        Wanted { a: self, stage: Stage::Forward }.class(limits).into_iter().collect()
    }

    fn trial(&self) -> Option<Self> {
        Some(classes::trial(self))
    }
}
