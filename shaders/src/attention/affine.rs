//! The affine epilogue: rows moved towards the mean of the values that a query sees, which is a sum over a range of keys. Sums of blocks, and of
//! blocks of them, make a range cheap, forward (over keys) and backward (over queries).

use gatefold_core::attention::Sequences;
use gatefold_core::{Attention, Dtype, Op};

use super::layout::{Layout, Members};
use super::split::{Parted, Split, Work};
use super::{FLAT, files, flat_step};
use crate::plan::{NAN_BITS, narrow, wgsl_type};
use crate::source::wgsl;
use crate::{Dispatch, Limits, Param, PlanError, Scratch, Source, Step, fold_groups};

/// Rows of a block, and blocks of a block of blocks.
const ROWS: u32 = 16;
/// The sums of blocks, and of blocks of blocks.
const SUMS: [&str; 2] = ["block_sums", "block_sums_2"];
/// The means of all queries; in the backward pass then what each query's mean gives to the values.
const MEAN: &str = "visible_mean";

const QUERIES: Source = wgsl!("attention/row_map/rows/queries.wgsl");
const KEYS: Source = wgsl!("attention/row_map/rows/keys.wgsl");
const SCALED: Source = wgsl!("attention/row_map/scaled.wgsl");
const RANGE_SUM: Source = wgsl!("attention/affine/range_sum.wgsl");

/// Rows that are summed in blocks: a segment is a head's rows, of a batch entry or of all packed sequences.
struct Segments {
    count: u64,
    length: u64,
    /// Rows in memory from a segment to the next, and from a row to the next.
    steps: [u64; 2],
}

impl Segments {
    fn new(a: &Attention, dims: &[usize]) -> Self {
        let length = dims.last().map_or(0, |&n| n as u64);
        let count = dims.iter().rev().skip(1).map(|&n| n as u64).product();
        let steps = if matches!(a.sequences, Sequences::Packed { .. }) { [1, count] } else { [length, 1] };
        Self { count, length, steps }
    }

    const fn blocks(&self) -> u64 {
        self.length.div_ceil(ROWS as u64)
    }

    /// The blocks of these as rows of their own.
    const fn blocked(&self) -> Self {
        Self { count: self.count, length: self.blocks(), steps: [self.blocks(), 1] }
    }

    /// Loop trips of a sum over a range.
    const fn trips(&self) -> u64 {
        4 * ROWS as u64 + self.blocks() / ROWS as u64 + 1
    }
}

/// A kernel of the epilogue: its name, text, aliases and operands (global, what it binds, bytes).
struct Kernel<'n> {
    name: &'static str,
    part: &'static str,
    kernel: Source,
    slots: Vec<Source>,
    aliases: Vec<(&'static str, Dtype)>,
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
        Segments::new(self.a, &self.a.row_dims())
    }

    fn keys(&self) -> Segments {
        Segments::new(self.a, &self.a.key_row_dims())
    }

    /// Bytes of a number per row, of rows in f32, and of rows as they are stored.
    fn bytes(&self, of: &Segments) -> [u64; 3] {
        let rows = of.count * of.length;
        [rows * 4, rows * self.width() * 4, rows * self.width() * self.a.dtype.size() as u64]
    }

    /// Values, what the rows become, and the gradients of both.
    fn names(&self) -> [&'static str; 4] {
        let [v, d_v] = if self.a.prologue.value_scale.is_some() { ["v_ready", "d_v_ready"] } else { ["v", "d_v"] };
        let [o, d_o] = if self.a.epilogue.maps_rows() { ["o_affine", "d_o_affine"] } else { ["o", "d_o"] };
        [v, o, d_v, d_o]
    }

    /// The steps that move rows of the core's output, and the scratch that they need.
    pub(super) fn forward(&self) -> Result<(Vec<Step>, Vec<Scratch>), PlanError> {
        let (mut steps, mut scratch) = self.means()?;
        let queries = self.queries();
        let [number, wide, stored] = self.bytes(&queries);
        let o = self.names()[1];
        steps.extend(self.by_element(
            Kernel {
                name: "attention_affine",
                part: "",
                kernel: wgsl!("attention/affine/affine.wgsl"),
                slots: vec![QUERIES, SCALED],
                aliases: vec![("Elem", self.a.dtype)],
                binds: &[
                    ("x", "o_core", stored),
                    ("visible_mean", MEAN, wide),
                    ("alpha", "alpha", number),
                    ("y", o, stored),
                ],
            },
            true,
            1,
        )?);
        scratch.extend((!self.a.o_core).then(|| sized("o_core", stored)));
        scratch.extend((o != "o").then(|| sized(o, stored)));
        Ok((steps, scratch))
    }

    /// The steps of a gradient before a map of the rows that follows: what that map reads.
    pub(super) fn again(&self) -> Result<(Vec<Step>, Vec<Scratch>), PlanError> {
        if !self.a.epilogue.maps_rows() {
            return self.means();
        }
        let (steps, mut scratch) = self.forward()?;
        scratch.retain(|s| s.name != "o_core");
        Ok((steps, scratch))
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
            slots: vec![QUERIES, SCALED, mask],
            aliases: vec![("Elem", self.a.dtype)],
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
        let mut steps: Vec<_> = self.step(kernel, self.rows(true), self.width())?.into_iter().collect();
        let (sums, more) = self.sums(MEAN, Dtype::F32, &queries)?;
        steps.extend(sums);
        scratch.extend(more);
        Ok((steps, scratch))
    }

    /// The step of a gradient after the core's: the mean's share of the gradient of the values.
    pub(super) fn values(&self) -> Result<Option<Step>, PlanError> {
        let (queries, keys) = (self.queries(), self.keys());
        if self.rows(true) == 0 {
            return Ok(None);
        }
        let (mask, part) = files::mask(self.a);
        let kernel = Kernel {
            name: "attention_affine_values",
            part,
            kernel: wgsl!("attention/affine/affine_values.wgsl"),
            slots: vec![KEYS, SCALED, mask, RANGE_SUM],
            aliases: vec![("Elem", self.a.dtype), ("Term", Dtype::F32)],
            binds: &[("terms", MEAN, self.bytes(&queries)[1]), ("d_v", self.names()[2], self.bytes(&keys)[2])],
        };
        let trips = self.a.dims.group() as u64 * (queries.trips() + 1);
        self.by_element(kernel, false, trips)
    }

    /// The steps that find the mean of what each query sees.
    fn means(&self) -> Result<(Vec<Step>, Vec<Scratch>), PlanError> {
        let (queries, keys) = (self.queries(), self.keys());
        let v = self.names()[0];
        let (mut steps, mut scratch) = self.sums(v, self.a.dtype, &keys)?;
        let wide = self.bytes(&queries)[1];
        let (mask, part) = files::mask(self.a);
        let kernel = Kernel {
            name: "attention_visible_mean",
            part,
            kernel: wgsl!("attention/affine/visible_mean.wgsl"),
            slots: vec![QUERIES, mask, RANGE_SUM],
            aliases: vec![("Term", self.a.dtype)],
            binds: &[("terms", v, self.bytes(&keys)[2]), ("visible_mean", MEAN, wide)],
        };
        steps.extend(self.by_element(kernel, true, keys.trips())?);
        scratch.push(sized(MEAN, wide));
        Ok((steps, scratch))
    }

    /// The steps that sum rows in blocks, and those in blocks.
    fn sums(&self, terms: &'static str, dtype: Dtype, rows: &Segments) -> Result<(Vec<Step>, Vec<Scratch>), PlanError> {
        let blocks = rows.blocked();
        let mut steps = Vec::new();
        let mut scratch = Vec::new();
        for (of, from, dtype, to) in [(rows, terms, dtype, SUMS[0]), (&blocks, SUMS[0], Dtype::F32, SUMS[1])] {
            let bytes = of.count * of.blocks() * self.width() * 4;
            if bytes > self.limits.binding_bytes {
                let have = self.limits.binding_bytes;
                return Err(PlanError::TooLarge { operand: to.into(), need: bytes, have });
            }
            steps.extend((bytes > 0).then(|| self.block_sums(of, dtype, (from, to))));
            scratch.push(sized(to, bytes));
        }
        Ok((steps, scratch))
    }

    fn block_sums(&self, of: &Segments, dtype: Dtype, (from, to): (&'static str, &'static str)) -> Step {
        let (limits, elements) = (self.limits, of.count * of.blocks() * self.width());
        let groups = elements.div_ceil(FLAT.into());
        let by_time = limits.dispatch_seconds * limits.mul_adds_per_second / f64::from(FLAT * ROWS);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 1 ..= 1e9")]
        let most = (by_time.clamp(1.0, 1e9) as u64).min(u64::from(limits.groups_per_dim).pow(2));
        let dispatch = |first: u64| {
            let count = most.min(groups - first);
            let of_u64 = |name, n| (name, Param::U32(narrow(n)));
            let params = vec![
                of_u64("first_group", first),
                of_u64("group_count", count),
                of_u64("elements", elements),
                of_u64("length", of.length),
                of_u64("blocks", of.blocks()),
                of_u64("width", self.width()),
                of_u64("segment_step", of.steps[0]),
                of_u64("row_step", of.steps[1]),
                ("nan", Param::U32(NAN_BITS)),
            ];
            Dispatch { grid: fold_groups(count, limits.groups_per_dim), params, windows: Vec::new() }
        };
        let dispatches = (0..groups.div_ceil(most)).map(|n| dispatch(n * most)).collect();
        let split = Split { dispatches, passes: 1, trips: ROWS.into() };
        let kernel = (wgsl!("attention/affine/block_sums.wgsl"), Vec::new());
        let mut step = flat_step(format!("attention_block_sums.{dtype}"), kernel, Some(dtype), split);
        step.consts.push(("ROWS", ROWS));
        Step { aliases: vec![("Term", wgsl_type(dtype))], binds: vec![("terms", from), ("sums", to)], ..step }
    }

    /// Rows over all sequences and heads; of packed sequences, as many as there would be if all were as long as the longest.
    fn rows(&self, of_queries: bool) -> u64 {
        let d = &self.a.dims;
        let (heads, seq) = if of_queries { (d.q_heads, d.seq_q) } else { (d.kv_heads, d.seq_kv) };
        (d.batch * heads * seq) as u64
    }

    /// The step of a kernel that takes an element an invocation.
    fn by_element(&self, kernel: Kernel<'_>, of_queries: bool, trips: u64) -> Result<Option<Step>, PlanError> {
        let elements = self.rows(of_queries) * self.width();
        let have = u64::from(u32::MAX - FLAT);
        if elements > have {
            let limit = "elements that an index counts";
            return Err(PlanError::Limit { kernel: kernel.name.into(), limit, need: elements, have });
        }
        self.step(kernel, elements, trips)
    }

    fn step(&self, kernel: Kernel<'_>, invocations: u64, trips: u64) -> Result<Option<Step>, PlanError> {
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
        let mut members = Members::new(self.a, &Layout::new(&self.a.core().operands()));
        members.set("row_width", narrow(self.width()));
        let split = work.split(&members, self.limits)?;
        let slots = [files::SHAPE].into_iter().chain(kernel.slots).collect();
        let name = format!("{}{}.{}", kernel.name, kernel.part, self.a.dtype);
        let mut step = flat_step(name, (kernel.kernel, slots), Some(self.a.dtype), split);
        let largest = if self.a.dtype == Dtype::F16 { 65504.0 } else { f32::MAX };
        step.consts.extend([("LARGEST_BITS", largest.to_bits()), ("ROWS", ROWS)]);
        step.aliases = kernel.aliases.iter().map(|&(name, dtype)| (name, wgsl_type(dtype))).collect();
        step.binds = kernel.binds.iter().map(|&(global, operand, _)| (global, operand)).collect();
        Ok(Some(step))
    }
}

fn sized(name: &'static str, bytes: u64) -> Scratch {
    Scratch { name, bytes: bytes.next_multiple_of(16).max(16) }
}
