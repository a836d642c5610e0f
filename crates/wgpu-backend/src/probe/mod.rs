//! What an adapter does with WGSL, measured when it is opened: accuracy of its functions, whether it stops loops, what it makes of
//! denormals and NaN, whether workgroup memory is cleared, how fast it multiplies, and which of its fast paths pass their self-tests.

mod accuracy;
mod attention;
mod draw;
mod file;
mod half;
mod matrix;
mod matrix_schedules;
mod measure;
mod self_test;
mod subgroups;
mod tiles;
mod trust;
mod unchecked;
mod verdict;

use std::fmt;

pub use file::VerdictFile;
pub use matrix::MatrixTest;
pub use self_test::Lie;
use serde::{Deserialize, Serialize};
pub(crate) use trust::{Trust, open};
pub use verdict::{FastPath, PathStatus, PathVerdict};

use gatefold_core::{Operand, Tensors};
use gatefold_shaders::{Limits, MatrixUnit, Plan};

use crate::{Gpu, Ran, RunError, RunOptions};

/// Word that outputs and scratch are filled with before a kernel is tried.
pub(crate) const POISON: u32 = 0x7FC0_DEAD;

/// What plans run on, for the probe: a [`Gpu`], or another implementation of WebGPU in the tests.
#[doc(hidden)]
pub trait Runner {
    /// Limits of the adapter, before anything is measured.
    fn limits(&self) -> &Limits;
    /// As [`Gpu::run_plan_async`].
    fn run(
        &self,
        plan: &Plan,
        operands: &[Operand],
        inputs: &Tensors,
        options: &RunOptions,
    ) -> impl Future<Output = Result<Ran, RunError>>;
    /// The plan with a word on which of its steps are proven: the planner's own, if there is no prover.
    fn settle(&self, plan: Plan, operands: &[Operand]) -> Plan {
        let _ = operands;
        plan.claimed()
    }
    /// Kernels that stand in for the probe's own.
    fn lies(&self) -> &[Lie] {
        &[]
    }
    /// Whether every kernel keeps its runtime checks.
    fn is_checked(&self) -> bool {
        true
    }
    /// Whether matrix units are wanted.
    fn wants_matrix(&self) -> bool {
        false
    }
    /// Matrix units to be tested.
    fn matrix_unit(&self) -> Option<MatrixUnit> {
        None
    }
}

impl Runner for Gpu {
    fn limits(&self) -> &Limits {
        self.limits()
    }

    async fn run(
        &self,
        plan: &Plan,
        operands: &[Operand],
        inputs: &Tensors,
        options: &RunOptions,
    ) -> Result<Ran, RunError> {
        self.run_plan_async(plan, operands, inputs, options).await
    }

    fn settle(&self, mut plan: Plan, operands: &[Operand]) -> Plan {
        self.pipelines().settle(&mut plan, operands);
        plan
    }

    fn lies(&self) -> &[Lie] {
        &self.options().lies
    }

    fn is_checked(&self) -> bool {
        self.options().checked
    }

    fn wants_matrix(&self) -> bool {
        self.options().matrix
    }

    fn matrix_unit(&self) -> Option<MatrixUnit> {
        self.matrix_unit()
    }
}

/// How f32 becomes f16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// To the nearest, ties to even.
    NearestEven,
    /// Towards zero.
    TowardsZero,
    /// Anything else that WGSL allows.
    Other,
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NearestEven => "to nearest even",
            Self::TowardsZero => "towards zero",
            Self::Other => "neither to nearest even nor towards zero",
        })
    }
}

/// What the probe found. Accuracies are the largest error over 4,096 points each, in units of the error that WGSL allows: at most 1 on a
/// conforming adapter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Whether the probe ran; if not, no fast path is taken, and every field that is measured is its default.
    pub measured: bool,
    /// `exp` over \[−80, 80\]; allowed: (3 + 2·abs(x)) ULP.
    pub exp: f64,
    /// `exp2` over \[−120, 120\]; allowed: (3 + 2·abs(x)) ULP.
    pub exp2: f64,
    /// `log`; allowed: 2⁻²¹ absolute over \[0.5, 2\], 3 ULP elsewhere.
    pub log: f64,
    /// `/`; allowed: 2.5 ULP.
    pub divide: f64,
    /// `inverseSqrt`; allowed: 2 ULP.
    pub inverse_sqrt: f64,
    /// Trips after which the adapter stops a loop in silence; `None` if it ran 100,000.
    pub loop_cap: Option<u64>,
    /// Whether denormal results are kept; else they become 0.
    pub denormals_kept: bool,
    /// Whether a NaN is found by its bits, and only a NaN.
    pub nan_bit_test: bool,
    /// Whether `(1e8 + 1) − 1e8` is simplified to 1.
    pub reassociates: bool,
    /// Whether a detour over integer bits stops that.
    pub fence_works: bool,
    /// Words of workgroup memory, of 256 in each of 64 workgroups, that another kernel had left behind.
    pub stale_words: u64,
    /// How f32 becomes f16, if f16 may be stored.
    pub f16_rounding: Option<Rounding>,
    /// Whether matrix units gave exact sums, and the schedules that use them what they should.
    pub matrix: MatrixTest,
    /// Attention over 16 keys: largest error in units of its bound.
    pub attention: f64,
    /// Which fast paths may be taken: a verdict for each but tiles, whose verdicts are in [`Gpu::verdicts`](crate::Gpu::verdicts).
    pub verdicts: Vec<PathVerdict>,
    /// Multiply-adds per second in registers, f32.
    pub mul_adds_per_second: f64,
    /// Seconds the probe took.
    pub seconds: f64,
}

/// Trips to count on where the probe saw no cap.
const NO_CAP: u64 = 1 << 31;

impl Probe {
    /// Why results of this adapter cannot be trusted, if so.
    pub fn unfit(&self) -> Option<String> {
        if !self.measured {
            return None;
        }
        if !self.nan_bit_test {
            return Some("the bit test for NaN gives wrong answers".into());
        }
        if self.stale_words > 0 {
            return Some(format!(
                "workgroup memory is not cleared: {} words of another kernel were seen",
                self.stale_words
            ));
        }
        if self.attention > 1.0 || self.attention.is_nan() {
            return Some(format!("attention over 16 keys is off by {:.2} times its bound", self.attention));
        }
        None
    }

    /// Takes the paths without a passed test from the limits: what plans do not see, they do not take. `matrix`: the units that were tested.
    pub(crate) fn trust(&self, limits: &mut Limits, matrix: Option<MatrixUnit>) {
        limits.f16 &= self.passed(&FastPath::F16);
        limits.subgroup = limits.subgroup.filter(|_| self.passed(&FastPath::Subgroups));
        limits.matrix = matrix.filter(|_| limits.f16 && self.passed(&FastPath::Matrix));
    }

    /// Puts what was found into an adapter's limits.
    #[doc(hidden)]
    pub fn apply_to(&self, limits: &mut Limits, matrix: Option<MatrixUnit>) {
        self.trust(limits, matrix);
        limits.loop_trips = self.safe_trips();
        limits.mul_adds_per_second = self.prudent_rate();
    }

    /// Whether every number is finite: JSON has no others.
    fn is_finite(&self) -> bool {
        let accuracies = [self.exp, self.exp2, self.log, self.divide, self.inverse_sqrt, self.attention];
        accuracies.into_iter().chain([self.mul_adds_per_second, self.seconds]).all(f64::is_finite)
    }

    /// Loop trips that a kernel may make: 1 % below the cap.
    fn safe_trips(&self) -> u64 {
        self.loop_cap.map_or(NO_CAP, |cap| cap - cap.div_ceil(100))
    }

    /// Multiply-adds per second to plan with: a tenth of what was measured, since kernels reach less than plain arithmetic does, and a
    /// power of two, so that small differences between two measurements do not change a plan.
    fn prudent_rate(&self) -> f64 {
        (self.mul_adds_per_second / 10.0).max(1e6).log2().floor().exp2()
    }
}

impl fmt::Display for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.measured {
            return writeln!(f, "not probed");
        }
        let (yes, no) = ("yes", "no");
        let accuracy = [
            ("exp", self.exp),
            ("exp2", self.exp2),
            ("log", self.log),
            ("/", self.divide),
            ("inverseSqrt", self.inverse_sqrt),
        ];
        for (name, error) in accuracy {
            writeln!(f, "{name}: largest error {error:.2} of what WGSL allows")?;
        }
        match self.loop_cap {
            Some(cap) => writeln!(f, "loops: stopped in silence after {cap} trips")?,
            None => writeln!(f, "loops: not stopped")?,
        }
        writeln!(f, "denormals: {}", if self.denormals_kept { "kept" } else { "flushed to zero" })?;
        writeln!(f, "NaN found by its bits: {}", if self.nan_bit_test { yes } else { no })?;
        writeln!(f, "sums reassociated: {}", if self.reassociates { yes } else { no })?;
        writeln!(f, "fence against reassociation works: {}", if self.fence_works { yes } else { no })?;
        writeln!(f, "workgroup memory: {} stale words", self.stale_words)?;
        match self.f16_rounding {
            Some(rounding) => writeln!(f, "f32 to f16: {rounding}")?,
            None => writeln!(f, "f16: not available")?,
        }
        writeln!(f, "matrices: {}", self.matrix)?;
        writeln!(f, "attention over 16 keys: largest error {:.2} of its bound", self.attention)?;
        for verdict in &self.verdicts {
            writeln!(f, "{verdict}")?;
        }
        writeln!(f, "multiply-adds: {:.1} G/s", self.mul_adds_per_second * 1e-9)?;
        writeln!(f, "probe: {:.0} ms", self.seconds * 1e3)
    }
}

/// Probes what is not a [`Gpu`]. Blocks.
///
/// # Errors
/// Any fault of the runner.
#[doc(hidden)]
pub fn probe_on(on: &impl Runner) -> Result<Probe, RunError> {
    pollster::block_on(measure::measure(on))
}
