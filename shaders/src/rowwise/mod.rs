//! Row functions: plans of softmax, log-softmax, log-sum-exp and their gradients.
//!
//! Four schedules. Short rows have an invocation each. Longer ones have a workgroup each, which reads the row twice: once for the online
//! maximum and sum, once to write. Few long rows are cut into segments of 16 384 columns: one step leaves every segment's statistic in
//! scratch, the next merges them in a fixed order and writes.

mod dispatch;
mod files;

use gatefold_core::{Dtype, Op, Operand, RowFunction, Rowwise, RowwiseBackward};

use crate::plan::wgsl_type;
use crate::{DeviceKind, Kernels, Limits, Loop, Plan, PlanError, Scratch, Step};
use dispatch::Shape;
use files::Kernel;

/// Longest row that has one invocation on any adapter.
const SHORT: u64 = 64;
/// Columns that an invocation takes in at once.
const BLOCK: u64 = 16;
/// Columns of a segment of a long row.
const SEGMENT: u64 = 16_384;
/// Bytes of a statistic: maximum, sum, marks.
const STAT_BYTES: u64 = 12;
/// Name of the scratch that holds the statistics of segments.
const ROW_STATS: &str = "row_stats";

/// A row op on an adapter.
struct Job<'a> {
    name: &'static str,
    forward: &'a Rowwise,
    is_backward: bool,
    operands: Vec<Operand>,
    limits: &'a Limits,
}

impl Kernels for Rowwise {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        Job { name: Self::NAME, forward: self, is_backward: false, operands: self.operands(), limits }.plan()
    }
}

impl Kernels for RowwiseBackward {
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError> {
        Job { name: Self::NAME, forward: &self.forward, is_backward: true, operands: self.operands(), limits }.plan()
    }
}

impl Job<'_> {
    fn cols(&self) -> u64 {
        self.forward.cols as u64
    }

    fn rows(&self) -> u64 {
        self.forward.rows as u64
    }

    fn is_vec4(&self) -> bool {
        self.cols().is_multiple_of(4)
    }

    /// Whether an operand has an element for every column.
    fn is_wide(&self, operand: &str) -> bool {
        self.operands.iter().any(|o| o.name == operand && o.dims.len() == 2)
    }

    /// Whether the kernels read `x` and need the statistic of its logits; else `y`, and a sum.
    fn reads_logits(&self) -> bool {
        !self.is_backward || self.forward.function == RowFunction::LogSumExp
    }

    fn has_one_output_a_row(&self) -> bool {
        !self.is_backward && self.forward.function == RowFunction::LogSumExp
    }

    fn plan(&self) -> Result<Plan, PlanError> {
        let mut plan = Plan { op: self.name, ..Plan::default() };
        if self.rows() == 0 {
            plan.reasons.push("no rows, nothing to run".into());
            return Ok(plan);
        }
        if self.forward.dtype == Dtype::F16 && !self.limits.f16 {
            return Err(PlanError::Feature { operand: self.operands[0].name.into(), feature: "shader-f16" });
        }
        if self.is_per_invocation() {
            plan.reasons.push(format!("{} rows of {} columns: one invocation a row", self.rows(), self.cols()));
            let most = if self.is_cpu() { 16 } else { 64 };
            plan.steps.push(self.step(self.whole(Kernel::RowPerInvocation, self.most_lanes().min(most)))?);
        } else if self.is_split() {
            let shape = self.cut(Kernel::SplitReduce);
            let why = format!("{} long rows: {} segments a row, merged in a second step", self.rows(), shape.segments);
            plan.reasons.push(why);
            plan.steps = vec![self.step(shape)?, self.step(self.cut(Kernel::SplitWrite))?];
            plan.scratch.push(self.row_stats(shape.segments)?);
        } else {
            plan.reasons.push(format!("{} rows of {} columns: one workgroup a row", self.rows(), self.cols()));
            plan.steps.push(self.step(self.whole(Kernel::RowPerWorkgroup, self.lanes(self.cols())))?);
        }
        let why = if self.is_vec4() { "a multiple of 4: vec4 access" } else { "not a multiple of 4: scalar access" };
        plan.reasons.push(format!("{} columns are {why}", self.cols()));
        Ok(plan)
    }

    fn is_cpu(&self) -> bool {
        self.limits.kind == DeviceKind::Cpu
    }

    /// On a CPU-type driver every load is a gather and barriers are dear, so there long rows have one invocation each as well, if there
    /// are enough of them to keep its cores busy.
    fn is_per_invocation(&self) -> bool {
        let fits = self.trips(&self.whole(Kernel::RowPerInvocation, 1)) <= self.limits.loop_trips;
        fits && (self.cols() <= SHORT || (self.is_cpu() && self.rows() >= 128))
    }

    /// Rows are cut if there are too few of them for the adapter, or if one is too long for an invocation's share.
    fn is_split(&self) -> bool {
        let few = if self.is_cpu() { 8 } else { 256 };
        let whole = self.whole(Kernel::RowPerWorkgroup, self.lanes(self.cols()));
        let too_long = self.trips(&whole) > self.limits.loop_trips;
        too_long || (self.rows() < few && self.cols() >= 2 * SEGMENT)
    }

    /// Invocations that a workgroup may have, a power of 2.
    fn most_lanes(&self) -> u32 {
        let l = self.limits;
        let by_memory = u32::try_from(u64::from(l.workgroup_memory) / (STAT_BYTES + 4)).unwrap_or(256);
        let most = l.invocations.min(l.workgroup_size_x).min(by_memory).clamp(1, if self.is_cpu() { 64 } else { 256 });
        1 << most.ilog2()
    }

    /// Invocations for `cols` columns: as many as there are blocks.
    fn lanes(&self, cols: u64) -> u32 {
        let blocks = cols.div_ceil(BLOCK).next_power_of_two().clamp(32, 256);
        u32::try_from(blocks).unwrap_or(256).min(self.most_lanes())
    }

    /// A kernel that takes rows whole.
    fn whole(&self, kernel: Kernel, lanes: u32) -> Shape {
        Shape { kernel, lanes, segments: 1, written: 1, segment_cols: self.cols() }
    }

    /// A kernel that cuts rows into segments: at most as many as a workgroup has invocations, so that each merges one.
    fn cut(&self, kernel: Kernel) -> Shape {
        let lanes = self.lanes(self.cols().min(SEGMENT));
        let segment_cols = SEGMENT.max(self.cols().div_ceil(u64::from(lanes)).next_multiple_of(4));
        let segments = self.cols().div_ceil(segment_cols);
        let written = if self.has_one_output_a_row() { 1 } else { segments };
        Shape { kernel, lanes, segments, written, segment_cols }
    }

    /// Loop trips of one invocation: blocks read, quads written, levels of the tree.
    fn trips(&self, shape: &Shape) -> u64 {
        let lanes = if shape.kernel == Kernel::RowPerInvocation { 1 } else { u64::from(shape.lanes) };
        let read = shape.segment_cols.div_ceil(BLOCK * lanes);
        let write = if self.has_one_output_a_row() { 0 } else { shape.segment_cols.div_ceil(4 * lanes) };
        let tree = if shape.kernel.reduces() { u64::from(lanes.ilog2() + 1) * (u64::from(self.fan()) + 1) } else { 0 };
        tree + match shape.kernel {
            Kernel::RowPerInvocation | Kernel::RowPerWorkgroup => read + write,
            Kernel::SplitReduce => read,
            Kernel::SplitWrite => write,
        }
    }

    /// Loops of a kernel: blocks read, the tree, quads written. None of them is made of multiply-adds.
    fn loops(&self, shape: &Shape) -> Vec<Loop> {
        let lanes = if shape.kernel == Kernel::RowPerInvocation { 1 } else { u64::from(shape.lanes) };
        let read = Loop::new("main/col", shape.segment_cols.div_ceil(BLOCK * lanes) as f64).with_buffers();
        let write = (!self.has_one_output_a_row())
            .then(|| Loop::new("write/col", shape.segment_cols.div_ceil(4 * lanes) as f64).with_buffers());
        let merge = Loop::fixed("reduce/other", f64::from(self.fan() - 1));
        let levels = f64::from(lanes.ilog2()) / f64::from(self.fan().ilog2());
        let tree = Loop { inner: vec![merge], ..Loop::fixed("reduce/width", levels.ceil()) };
        match shape.kernel {
            Kernel::RowPerInvocation => std::iter::once(read).chain(write).collect(),
            Kernel::RowPerWorkgroup => [read, tree].into_iter().chain(write).collect(),
            Kernel::SplitReduce => vec![read, tree],
            Kernel::SplitWrite => std::iter::once(tree).chain(write).collect(),
        }
    }

    /// Branches of the reduction tree: a barrier costs a CPU-type driver more than a merge.
    fn fan(&self) -> u32 {
        if self.is_cpu() { 8 } else { 4 }
    }

    fn row_stats(&self, segments: u64) -> Result<Scratch, PlanError> {
        let bytes = self.rows() * segments * STAT_BYTES;
        if bytes > self.limits.binding_bytes {
            return Err(PlanError::TooLarge {
                operand: ROW_STATS.into(),
                need: bytes,
                have: self.limits.binding_bytes,
            });
        }
        Ok(Scratch { name: ROW_STATS, bytes })
    }

    fn step(&self, shape: Shape) -> Result<Step, PlanError> {
        let Shape { kernel, lanes, .. } = shape;
        let forward = self.forward;
        let trips = self.trips(&shape);
        if trips > self.limits.loop_trips {
            let (kernel, have) = (format!("{}_{}", self.name, kernel.name()), self.limits.loop_trips);
            return Err(PlanError::Limit { kernel, limit: "loop trips per invocation", need: trips, have });
        }
        let io = if self.is_vec4() { "vec4" } else { "scalar" };
        let mut consts = vec![("LANES", lanes)];
        if kernel.reduces() {
            consts.push(("FAN", self.fan()));
        }
        let fan = if kernel.reduces() { format!(".fan{}", self.fan()) } else { String::new() };
        Ok(Step {
            name: format!("{}_{}.{}.{io}.lanes{lanes}{fan}", self.name, kernel.name(), forward.label()),
            kernel: kernel.source(),
            slots: files::slots(self, kernel),
            consts,
            aliases: vec![("Elem", wgsl_type(forward.dtype))],
            f16: forward.dtype == Dtype::F16,
            subgroups: false,
            matrix: false,
            binds: Vec::new(),
            dispatches: dispatch::dispatches(self, &shape)?,
            trips,
            proven: true,
            loops: self.loops(&shape),
        })
    }
}
