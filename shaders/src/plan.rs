//! Plans: what runs, in plain values.

use gatefold_core::Dtype;

use crate::{PlanError, Source};

/// A value of the uniform `params`, set by the name of its struct member.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Param {
    /// `u32` member.
    U32(u32),
    /// `i32` member.
    I32(i32),
    /// `f32` member.
    F32(f32),
}

/// Part of an operand that one dispatch binds, for operands larger than a binding. Without a window the whole operand is bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Operand name.
    pub operand: &'static str,
    /// First byte, a multiple of the offset alignment.
    pub offset: u64,
    /// Bytes.
    pub bytes: u64,
}

/// One dispatch of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// Workgroups in x, y, z.
    pub grid: [u32; 3],
    /// Members of `params`; every member of the WGSL struct is named exactly once.
    pub params: Vec<(&'static str, Param)>,
    /// Operands bound in part.
    pub windows: Vec<Window>,
}

/// A loop of a kernel as it is written, for a plan's shape: what machine code is weighed with, never what runs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Loop {
    /// The function that it stands in and its variable: `product/d4`.
    pub name: &'static str,
    /// Trips each time it is entered, on average over the invocations; 0 if it is usually passed by (values that are not finite, say).
    pub trips: f64,
    /// Whether the count of trips is a constant of the variant: then a driver may write the loop out.
    pub fixed: bool,
    /// Multiply-adds that the algorithm needs of one invocation in one trip, those of the loops inside left out.
    pub mul_adds: u64,
    /// Whether it reads or writes buffers itself, rather than in loops inside.
    pub buffers: bool,
    /// Share of the trips that take the dearest way through the body: tiles at an edge of what is visible. The others take the cheapest.
    pub edge: f64,
    /// Loops inside, in program order.
    pub inner: Vec<Loop>,
}

impl Loop {
    /// A loop without multiply-adds whose count of trips is known at run time only.
    pub fn new(name: &'static str, trips: f64) -> Self {
        Self { name, trips, ..Self::default() }
    }

    /// The same loop, known to read or write buffers.
    #[must_use]
    pub fn with_buffers(self) -> Self {
        Self { buffers: true, ..self }
    }

    /// A loop without multiply-adds whose count of trips is a constant.
    pub fn fixed(name: &'static str, trips: f64) -> Self {
        Self { fixed: true, ..Self::new(name, trips) }
    }
}

/// One kernel, linked and dispatched.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Variant name: `attention_forward.sigmoid.causal_top_left.f32.d64.v64.micro.q32k32`. Two steps with one name have the same text.
    pub name: String,
    /// Kernel file: holds the entry point `main`.
    pub kernel: Source,
    /// Slot files.
    pub slots: Vec<Source>,
    /// `const NAME: u32 = value;`
    pub consts: Vec<(&'static str, u32)>,
    /// `alias Name = type;`
    pub aliases: Vec<(&'static str, &'static str)>,
    /// Whether the text needs `enable f16;`.
    pub f16: bool,
    /// Whether the text uses subgroup operations.
    pub subgroups: bool,
    /// Whether the text needs `enable wgpu_cooperative_matrix;`. Never together with subgroup operations: a driver crashes on such a module.
    pub matrix: bool,
    /// Globals of the kernel that bind another operand or scratch than that of their name, and which. Windows name the global.
    pub binds: Vec<(&'static str, &'static str)>,
    /// Dispatches, run in order.
    pub dispatches: Vec<Dispatch>,
    /// Most loop trips that one invocation of one dispatch makes, counted as written.
    pub trips: u64,
    /// Whether the planner claims that every index and every count of trips follows from ranges that the plan has checked, whatever the buffers
    /// hold. A claim only: the kernel runs without naga's runtime checks where [`prove`](crate::prove) finds it true for the plan's own numbers.
    pub proven: bool,
    /// Its loops in program order; empty where nobody has described them.
    pub loops: Vec<Loop>,
}

impl Step {
    /// A proven step of a kernel in f32, without slots, loops, subgroup or matrix operations, each global bound by its own name. What is other is set by
    /// struct update.
    pub fn plain(name: impl Into<String>, kernel: Source, dispatches: Vec<Dispatch>) -> Self {
        Self {
            name: name.into(),
            kernel,
            slots: Vec::new(),
            consts: Vec::new(),
            aliases: Vec::new(),
            f16: false,
            subgroups: false,
            matrix: false,
            binds: Vec::new(),
            dispatches,
            trips: 0,
            proven: true,
            loops: Vec::new(),
        }
    }

    /// The operand or scratch that a global of the kernel binds.
    pub fn operand_of<'a>(&self, global: &'a str) -> &'a str {
        self.binds.iter().find(|(name, _)| *name == global).map_or(global, |&(_, operand)| operand)
    }
}

/// A buffer that lives during one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    /// Name of the WGSL global.
    pub name: &'static str,
    /// Bytes, a multiple of 4.
    pub bytes: u64,
}

/// A small input operand that kernels read inside a scratch buffer: copied there before the first step. It has no binding of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Operand name.
    pub operand: &'static str,
    /// Scratch name.
    pub scratch: &'static str,
    /// Byte offset in the scratch, a multiple of 4.
    pub offset: u64,
    /// Bytes copied, a multiple of 4.
    pub bytes: u64,
}

/// How a step runs, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Safety {
    /// Every index stays in bounds and every loop ends, for every dispatch of the step: it runs without runtime checks.
    Proven,
    /// It runs with all runtime checks, for this reason.
    Checked(String),
}

impl std::fmt::Display for Safety {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Proven => f.write_str("proven: runs unchecked"),
            Self::Checked(reason) => write!(f, "checked: {reason}"),
        }
    }
}

/// What runs for one op on one adapter. Printable: `{plan:#}` shows steps, variants, grids, scratch and why each choice was made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Op name.
    pub op: &'static str,
    /// Kernels in order.
    pub steps: Vec<Step>,
    /// Buffers beside the operands.
    pub scratch: Vec<Scratch>,
    /// Small inputs that are read inside scratch.
    pub packed: Vec<Packed>,
    /// Whether weights are rounded to f16 before they are multiplied by values (docs/numerics.md).
    pub rounds_weights: bool,
    /// Whether rows are rounded to f16 between a prologue or epilogue and the rest.
    pub rounds_rows: bool,
    /// Why each variant was or was not taken, in words.
    pub reasons: Vec<String>,
    /// What [`prove::settle`](crate::prove::settle) found about each step. Empty if it was not asked: then all steps run with runtime checks.
    pub safety: Vec<Safety>,
}

impl Plan {
    /// The plan with the planner's own claims in the place of proofs: steps that it calls proven run without runtime checks. For kernels whose
    /// proof is elsewhere, as in tests.
    #[must_use]
    pub fn claimed(mut self) -> Self {
        let safety = |proven| if proven { Safety::Proven } else { Safety::Checked("not claimed".into()) };
        self.safety = self.steps.iter().map(|s| safety(s.proven)).collect();
        self
    }

    /// Bytes of memory beside the operands: the scratch.
    pub fn extra_bytes(&self) -> u64 {
        self.scratch.iter().map(|s| s.bytes).sum()
    }
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}: {} steps, {} bytes beside the operands", self.op, self.steps.len(), self.extra_bytes())?;
        for (n, s) in self.steps.iter().enumerate() {
            let groups: u64 = s.dispatches.iter().map(|d| d.grid.iter().map(|&g| u64::from(g)).product::<u64>()).sum();
            writeln!(
                f,
                "  {}: {} dispatches, {groups} workgroups, at most {} loop trips",
                s.name,
                s.dispatches.len(),
                s.trips
            )?;
            if let Some(verdict) = self.safety.get(n) {
                writeln!(f, "    {verdict}")?;
            }
        }
        for s in &self.scratch {
            writeln!(f, "  scratch {}: {} bytes", s.name, s.bytes)?;
        }
        for p in &self.packed {
            writeln!(f, "  {} is read inside {} at byte {}", p.operand, p.scratch, p.offset)?;
        }
        for r in &self.reasons {
            writeln!(f, "  because: {r}")?;
        }
        Ok(())
    }
}

/// Folds `groups` workgroups into a grid within `per_dim`: x·y ≥ groups, with x·y − groups < x. A kernel finds its linear index as
/// `id.x + id.y * count.x` and returns if that is not below the count it is given.
pub fn fold_groups(groups: u64, per_dim: u32) -> [u32; 3] {
    let rows = groups.div_ceil(u64::from(per_dim)).max(1);
    let columns = groups.div_ceil(rows);
    let fit = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    [fit(columns), fit(rows), 1]
}

/// Most dispatches of a step: an hour of those that take 50 ms. A plan holds them all, so there must be an end.
pub(crate) const MAX_DISPATCHES: u64 = 1 << 16;

/// Starts of dispatches of `step` elements each, which between them have `elements`. Of more than a plan may hold one too many, for which
/// [`finished`](crate::spans::finished) refuses it.
pub(crate) fn starts(elements: u64, step: u64) -> impl Iterator<Item = u64> {
    (0..elements.div_ceil(step).min(MAX_DISPATCHES + 1)).map(move |n| n * step)
}

/// Refuses a step of more dispatches than a plan may hold. To be asked before they are made.
pub(crate) fn check_dispatches(need: u64) -> Result<(), PlanError> {
    if need > MAX_DISPATCHES { Err(PlanError::TooManyDispatches { need, have: MAX_DISPATCHES }) } else { Ok(()) }
}

/// Bits of the values that WGSL may not hold as constants.
pub(crate) const NAN_BITS: u32 = 0x7fc0_0000;
pub(crate) const MINUS_INFINITY_BITS: u32 = 0xff80_0000;

/// A count or an index as kernels have it. Counts fit, since the spec has been checked; elements are indexed modulo 2³².
pub(crate) fn narrow(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The dtype's WGSL element type.
pub(crate) const fn wgsl_type(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F32 => "f32",
        Dtype::F16 => "f16",
        Dtype::U32 => "u32",
    }
}
