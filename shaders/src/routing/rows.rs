//! Rows shared out to invocations: what the ops on rows of a plan have in common.

use gatefold_core::Dtype;

use crate::plan::{NAN_BITS, narrow, wgsl_type};
use crate::source::wgsl;
use crate::spans::{INVOCATIONS, dispatches};
use crate::{DeviceKind, Dispatch, Limits, Param, PlanError, Source, Step};

/// Quads that an invocation has under way at once.
const BLOCK: u32 = 4;
/// Blocks that an invocation of a CPU-type driver takes one after another: starting a workgroup is dear there.
const CPU_BLOCKS: u64 = 16;
/// Neighbours that share a row there, if there are enough rows: what they read is then a stream, where a whole workgroup would jump about in
/// its row (llvmpipe: a combine of rows of 1024 moves 2.7 GB/s, against 1.1 by 64 neighbours).
const CPU_LANES: u64 = 2;

/// How the quads of rows are shared out.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowGrid {
    rows: u64,
    cols: u64,
    quads: u64,
    lane_bits: u32,
    piece_quads: u64,
}

/// What op and spec add to the parameters of a row grid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    /// Experts of a token.
    pub(super) top_k: usize,
    /// Entries below are legal.
    pub(super) legal: usize,
    /// Of a clamped activation.
    pub(super) limit: f32,
    /// Of a clamped activation.
    pub(super) alpha: f32,
}

impl Numbers {
    pub(super) fn of_list(top_k: usize, legal: usize) -> Self {
        Self { top_k, legal, limit: 0.0, alpha: 0.0 }
    }
}

impl RowGrid {
    /// `rows` rows of `quads` quads, each quad written by itself. On a GPU neighbours have neighbouring quads.
    pub(super) fn by_quad(rows: usize, cols: usize, quads: usize, limits: &Limits) -> Self {
        let (rows, cols, quads, lanes) = (rows as u64, cols as u64, quads as u64, u64::from(INVOCATIONS));
        let (lanes, blocks) = if limits.kind == DeviceKind::Cpu {
            let share = (lanes / rows.clamp(1, lanes).next_power_of_two()).max(CPU_LANES);
            (share.min(quads.div_ceil(BLOCK.into()).next_power_of_two()), CPU_BLOCKS)
        } else {
            (lanes.min(quads.next_power_of_two()), 1)
        };
        Self { rows, cols, quads, lane_bits: lanes.ilog2(), piece_quads: u64::from(BLOCK) * blocks * lanes }
    }

    /// `rows` rows, a number made of each. Barriers are dear on a CPU-type driver, so there a row has one invocation if there are enough rows.
    pub(super) fn by_row(rows: usize, cols: usize, limits: &Limits) -> Self {
        let quads = cols.div_ceil(4) as u64;
        let alone = limits.kind == DeviceKind::Cpu && rows >= 128 && quads <= limits.loop_trips;
        let lanes = if alone { 1 } else { quads.min(INVOCATIONS.into()).next_power_of_two() };
        Self { rows: rows as u64, cols: cols as u64, quads, lane_bits: lanes.ilog2(), piece_quads: quads }
    }

    fn pieces(&self) -> u64 {
        self.quads.div_ceil(self.piece_quads)
    }

    /// Most quads of an invocation.
    pub(super) fn own_quads(&self) -> u64 {
        self.piece_quads.min(self.quads).div_ceil(1 << self.lane_bits)
    }

    /// Most blocks of an invocation.
    pub(super) fn own_blocks(&self) -> u64 {
        self.own_quads().div_ceil(BLOCK.into())
    }

    /// Levels of the tree that joins what the invocations of a row have.
    pub(super) fn levels(&self) -> u64 {
        self.lane_bits.into()
    }

    /// Dispatches, each short enough if a quad costs `work` multiply-adds.
    pub(super) fn dispatches(&self, work: f64, limits: &Limits, numbers: Numbers) -> Vec<Dispatch> {
        let lanes = u64::from(INVOCATIONS);
        let groups = self.rows.div_ceil(lanes >> self.lane_bits) * self.pieces();
        let sizes = [
            ("rows", self.rows),
            ("cols", self.cols),
            ("quads", self.quads),
            ("lane_bits", self.lane_bits.into()),
            ("pieces", self.pieces()),
            ("piece_quads", self.piece_quads),
            ("top_k", numbers.top_k as u64),
            ("legal", numbers.legal as u64),
            ("nan", NAN_BITS.into()),
        ];
        let mut params = sizes.map(|(name, n)| (name, Param::U32(narrow(n)))).to_vec();
        params.extend([("limit", numbers.limit), ("alpha", numbers.alpha)].map(|(name, x)| (name, Param::F32(x))));
        dispatches(groups * lanes, 8.0 + work * self.own_quads() as f64, limits, &params)
    }
}

/// Whether rows of `cols` elements are read and written in quads.
pub(super) fn is_vec4(cols: usize) -> bool {
    cols.is_multiple_of(4)
}

/// The word for it in names of variants.
pub(super) fn access(cols: usize) -> &'static str {
    if is_vec4(cols) { "vec4" } else { "scalar" }
}

/// The file of slot `rows_in`, `rows_out` or `rows_beside`.
pub(super) fn file(slot: &str, cols: usize) -> Source {
    match (slot, is_vec4(cols)) {
        ("in", true) => wgsl!("routing/rows/in_vec4.wgsl"),
        ("in", false) => wgsl!("routing/rows/in_scalar.wgsl"),
        ("out", true) => wgsl!("routing/rows/out_vec4.wgsl"),
        ("out", false) => wgsl!("routing/rows/out_scalar.wgsl"),
        (_, true) => wgsl!("routing/rows/beside_vec4.wgsl"),
        (_, false) => wgsl!("routing/rows/beside_scalar.wgsl"),
    }
}

/// A step on rows of `dtype`, `slots` beside what all of them share.
pub(super) fn step(name: String, kernel: Source, slots: Vec<Source>, dtype: Dtype, dispatches: Vec<Dispatch>) -> Step {
    Step {
        slots: std::iter::once(wgsl!("routing/rows/shape.wgsl")).chain(slots).collect(),
        consts: vec![("LANES", INVOCATIONS), ("BLOCK", BLOCK)],
        aliases: vec![("Elem", wgsl_type(dtype))],
        f16: dtype == Dtype::F16,
        ..Step::plain(name, kernel, dispatches)
    }
}

/// Refuses f16 where there is none.
pub(super) fn check_dtype(dtype: Dtype, operands: &str, limits: &Limits) -> Result<(), PlanError> {
    if dtype == Dtype::F16 && !limits.f16 {
        return Err(PlanError::Feature { operand: format!("{operands} in f16"), feature: "shader-f16" });
    }
    Ok(())
}
