//! The affine epilogue: rows moved towards the mean of the values that a query sees, which is a sum over a range of keys. Sums of blocks, and of
//! blocks of them, make a range cheap, forward (over keys) and backward (over queries).

use gatefold_core::attention::Sequences;
use gatefold_core::{Attention, Dtype};

use super::block_sums::{Segments, block_sums};
use super::dressed::bound;
use super::layout::{Members, map_rows};
use super::row_map::{largest, sized};
use super::split::{Parted, Work};
use super::{FLAT, files, flat_step};
use crate::plan::{narrow, wgsl_type};
use crate::source::wgsl;
use crate::{Limits, PlanError, Scratch, Source, Step};

/// Rows of a block, and blocks of a block of blocks.
const ROWS: u32 = 16;
/// Queries whose means an invocation makes.
const RUN: u32 = 16;
/// The sums of blocks, and of blocks of blocks.
const SUMS: [&str; 2] = ["block_sums", "block_sums_2"];
/// The means of all queries; in the backward pass then what each query's mean gives to the values.
const MEAN: &str = "visible_mean";

const SCALED: Source = wgsl!("attention/row_map/scaled.wgsl");
const PART: Source = wgsl!("attention/affine/part.wgsl");
const RANGE_SUM: Source = wgsl!("attention/affine/range_sum.wgsl");

/// Rows as sums of blocks know them: a segment is a head's rows, of a batch entry or of all packed sequences.
fn segments(a: &Attention, dims: &[usize]) -> Segments {
    let length = dims.last().map_or(0, |&n| n as u64);
    let count = dims.iter().rev().skip(1).map(|&n| n as u64).product();
    let steps = if matches!(a.sequences, Sequences::Packed { .. }) { [1, count] } else { [length, 1] };
    Segments { count, length, steps }
}

/// Loop trips of a sum over a range.
const fn trips(of: &Segments) -> u64 {
    4 * ROWS as u64 + of.blocks(ROWS) / ROWS as u64 + 1
}

/// A kernel of the epilogue: its name, text, type of the rows that it sums, and operands (global, what it binds, bytes).
struct Kernel<'n> {
    name: &'static str,
    part: &'static str,
    kernel: Source,
    slots: Vec<Source>,
    terms: Dtype,
    binds: &'n [(&'static str, &'static str, u64)],
}

/// The affine epilogue of an attention.
pub(super) struct Affine<'a> {
    a: &'a Attention,
    limits: &'a Limits,
}

impl<'a> Affine<'a> {
    /// The epilogue, if there is one.
    pub(super) fn of(a: &'a Attention, limits: &'a Limits) -> Option<Self> {
        a.epilogue.affine.then_some(Self { a, limits })
    }

    fn width(&self) -> u64 {
        self.a.dims.val_dim as u64
    }

    fn queries(&self) -> Segments {
        segments(self.a, &self.a.row_dims())
    }

    fn keys(&self) -> Segments {
        segments(self.a, &self.a.key_row_dims())
    }

    /// Bytes of a number per row, of rows in f32, and of rows as they are stored.
    fn bytes(&self, of: &Segments) -> [u64; 3] {
        let rows = of.count * of.length;
        [rows * 4, rows * self.width() * 4, rows * self.width() * self.a.dtype.size() as u64]
    }

    /// Values, what the rows become, and the gradients of both.
    fn names(&self) -> [&'static str; 4] {
        let [v, d_v] = ["v", "d_v"].map(|global| bound(self.a, global));
        let [o, d_o] = if self.a.epilogue.maps_rows() { ["o_affine", "d_o_affine"] } else { ["o", "d_o"] };
        [v, o, d_v, d_o]
    }

    /// The steps that move rows of the core's output, and the scratch that they need.
    pub(super) fn forward(&self) -> Result<(Vec<Step>, Vec<Scratch>), PlanError> {
        let (mut steps, mut scratch) = self.value_sums()?;
        let (mixed, more) = self.mixed()?;
        steps.extend(mixed);
        scratch.extend(more);
        scratch.extend((!self.a.o_core).then(|| sized("o_core", self.bytes(&self.queries())[2])));
        Ok((steps, scratch))
    }

    /// The steps of a gradient before a map of the rows that follows: the means, and what that map reads.
    pub(super) fn again(&self) -> Result<(Vec<Step>, Vec<Scratch>), PlanError> {
        let (mut steps, mut scratch) = self.value_sums()?;
        let wide = self.bytes(&self.queries())[1];
        let kept = ("attention_visible_mean", wgsl!("attention/affine/mean_kept.wgsl"));
        steps.extend(self.means(kept, &[("visible_mean", MEAN, wide)])?);
        scratch.push(sized(MEAN, wide));
        if self.a.epilogue.maps_rows() {
            let (mixed, more) = self.mixed()?;
            steps.extend(mixed);
            scratch.extend(more);
        }
        Ok((steps, scratch))
    }

    /// The step that moves rows towards the means of what their queries see, and the scratch that takes them.
    fn mixed(&self) -> Result<(Option<Step>, Option<Scratch>), PlanError> {
        let [number, _, stored] = self.bytes(&self.queries());
        let o = self.names()[1];
        let mixed = ("attention_affine", wgsl!("attention/affine/mean_mixed.wgsl"));
        let binds = [("x", "o_core", stored), ("alpha", "alpha", number), ("y", o, stored)];
        Ok((self.means(mixed, &binds)?, (o != "o").then(|| sized(o, stored))))
    }

    /// The steps of a gradient before the core's: the gradients of its rows and of `alpha`, and what each query gives to the values that it sees.
    pub(super) fn backward(&self) -> Result<(Vec<Step>, Vec<Scratch>), PlanError> {
        let queries = self.queries();
        let [number, wide, stored] = self.bytes(&queries);
        let (mask, part) = files::mask(self.a);
        let kernel = Kernel {
            name: "attention_affine_backward",
            part,
            kernel: wgsl!("attention/affine/affine_backward.wgsl"),
            slots: vec![files::QUERY_ROWS, SCALED, mask],
            terms: Dtype::F32,
            binds: &[
                ("x", "o_core", stored),
                ("d_y", self.names()[3], stored),
                ("alpha", "alpha", number),
                ("rows", MEAN, wide),
                ("d_x", "d_o_core", stored),
                ("d_alpha", "d_alpha", number),
            ],
        };
        let mut scratch = vec![sized("d_o_core", stored)];
        let mut steps: Vec<_> = self.by_row(kernel)?.into_iter().collect();
        let (sums, more) = self.sums(MEAN, Dtype::F32, &queries)?;
        steps.extend(sums);
        scratch.extend(more);
        Ok((steps, scratch))
    }

    /// The step of a gradient after the core's: the mean's share of the gradient of the values.
    pub(super) fn values(&self) -> Result<Option<Step>, PlanError> {
        let (queries, keys) = (self.queries(), self.keys());
        if map_rows(self.a, true) == 0 {
            return Ok(None);
        }
        let (mask, part) = files::mask(self.a);
        let kernel = Kernel {
            name: "attention_affine_values",
            part,
            kernel: wgsl!("attention/affine/affine_values.wgsl"),
            slots: vec![files::KEY_ROWS, PART, mask, RANGE_SUM],
            terms: Dtype::F32,
            binds: &[("terms", MEAN, self.bytes(&queries)[1]), ("d_v", self.names()[2], self.bytes(&keys)[2])],
        };
        let trips = self.a.dims.group() as u64 * (trips(&queries) + 1);
        self.by_part(kernel, map_rows(self.a, false), trips)
    }

    /// The steps that sum values in blocks.
    fn value_sums(&self) -> Result<(Vec<Step>, Vec<Scratch>), PlanError> {
        self.sums(self.names()[0], self.a.dtype, &self.keys())
    }

    /// The step that finds the mean of what each query sees. `mean` is its name and the file of what becomes of a mean, which binds `own`.
    fn means(
        &self,
        (name, mean): (&'static str, Source),
        own: &[(&'static str, &'static str, u64)],
    ) -> Result<Option<Step>, PlanError> {
        let keys = self.keys();
        let (mask, part) = files::mask(self.a);
        let binds: Vec<_> =
            [("terms", self.names()[0], self.bytes(&keys)[2])].into_iter().chain(own.iter().copied()).collect();
        let kernel = Kernel {
            name,
            part,
            kernel: wgsl!("attention/affine/visible_mean.wgsl"),
            slots: vec![files::QUERY_ROWS, PART, mask, RANGE_SUM, mean],
            terms: self.a.dtype,
            binds: &binds,
        };
        let d = &self.a.dims;
        let runs = (d.batch * d.q_heads * d.seq_q.div_ceil(RUN as usize)) as u64;
        self.by_part(kernel, runs, u64::from(RUN) * trips(&keys))
    }

    /// The steps that sum rows in blocks, and those in blocks.
    fn sums(&self, terms: &'static str, dtype: Dtype, rows: &Segments) -> Result<(Vec<Step>, Vec<Scratch>), PlanError> {
        let blocks = rows.blocked(ROWS);
        let mut steps = Vec::new();
        let mut scratch = Vec::new();
        for (of, from, dtype, to) in [(rows, terms, dtype, SUMS[0]), (&blocks, SUMS[0], Dtype::F32, SUMS[1])] {
            let bytes = of.count * of.blocks(ROWS) * self.width() * 4;
            if bytes > self.limits.binding_bytes {
                let have = self.limits.binding_bytes;
                return Err(PlanError::TooLarge { operand: to.into(), need: bytes, have });
            }
            steps.extend((bytes > 0).then(|| block_sums(of, (ROWS, self.width()), (from, dtype), to, self.limits)));
            scratch.push(sized(to, bytes));
        }
        Ok((steps, scratch))
    }

    /// Dims that an invocation takes at a time, where it takes some of a row.
    fn part(&self) -> u64 {
        if self.width().is_multiple_of(4) { 4 } else { 1 }
    }

    /// The step of a kernel that takes a part of so many rows an invocation.
    fn by_part(&self, kernel: Kernel<'_>, rows: u64, trips: u64) -> Result<Option<Step>, PlanError> {
        let parts = rows * self.width() / self.part();
        let have = u64::from(u32::MAX - FLAT);
        if parts > have {
            let limit = "parts of rows that an index counts";
            return Err(PlanError::Limit { kernel: kernel.name.into(), limit, need: parts, have });
        }
        let types =
            [("TermPart", kernel.terms), ("ElemPart", self.a.dtype), ("Part", Dtype::F32), ("Bits", Dtype::U32)];
        let is_wide = self.part() == 4;
        let mut aliases: Vec<_> = types.map(|(name, dtype)| (name, part_type(dtype, is_wide))).into();
        aliases.push(("Flags", if is_wide { "vec4<bool>" } else { "bool" }));
        let step = self.step_of(kernel, (parts, trips), self.width() / self.part())?;
        Ok(step.map(|step| {
            let width = if is_wide { "vec4" } else { "scalar" };
            Step { name: format!("{}.{width}", step.name), aliases, ..step }
        }))
    }

    /// The step of a kernel that takes a row an invocation.
    fn by_row(&self, kernel: Kernel<'_>) -> Result<Option<Step>, PlanError> {
        self.step_of(kernel, (map_rows(self.a, true), self.width()), self.width())
    }

    /// The step of a kernel of so many invocations of so many loop trips; a row is `row_width` of what it reads at a time.
    fn step_of(
        &self,
        kernel: Kernel<'_>,
        (invocations, trips): (u64, u64),
        row_width: u64,
    ) -> Result<Option<Step>, PlanError> {
        if invocations == 0 {
            return Ok(None);
        }
        let part = |&(operand, _, bytes)| Parted { operand, shift: "o_shift", bytes, unit_bytes: 0, element: 4 };
        let work = Work {
            parted: kernel.binds.iter().map(part).collect(),
            step_trips: trips,
            step_work: f64::from(FLAT) * (8 + trips) as f64,
            ..Work::flat(kernel.name, invocations.div_ceil(FLAT.into()), 1)
        };
        let mut members = Members::around_core(self.a);
        members.set("row_width", narrow(row_width));
        let split = work.split(&members, self.limits)?;
        let slots = [files::SHAPE].into_iter().chain(kernel.slots).collect();
        let name = format!("{}{}.{}", kernel.name, kernel.part, self.a.dtype);
        let mut step = flat_step(name, (kernel.kernel, slots), Some(self.a.dtype), split);
        step.consts.extend([largest(self.a.dtype), ("ROWS", ROWS), ("RUN", RUN)]);
        step.binds = kernel.binds.iter().map(|&(global, operand, _)| (global, operand)).collect();
        Ok(Some(step))
    }
}

/// A number, or four of them.
const fn part_type(dtype: Dtype, is_wide: bool) -> &'static str {
    match (dtype, is_wide) {
        (Dtype::F32, true) => "vec4<f32>",
        (Dtype::F16, true) => "vec4<f16>",
        (Dtype::U32, true) => "vec4<u32>",
        (dtype, false) => wgsl_type(dtype),
    }
}
