//! What an adapter does with WGSL, measured when it is opened: accuracy of its functions, whether it stops loops, what it makes of
//! denormals and NaN, whether workgroup memory is cleared, and how fast it multiplies.

mod accuracy;
mod matrix;
mod measure;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, OnceLock};

use gatefold_shaders::MatrixUnit;
pub use matrix::MatrixTest;

use crate::signal::lock;
use crate::{Gpu, RunError};

/// How f32 becomes f16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Probe {
    /// Whether the probe ran; if not, every other field is its default.
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
    /// Whether matrix units gave exact sums.
    pub matrix: MatrixTest,
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
        None
    }

    /// Loop trips that a kernel may make: 1 % below the cap.
    pub(crate) fn safe_trips(&self) -> u64 {
        self.loop_cap.map_or(NO_CAP, |cap| cap - cap.div_ceil(100))
    }

    /// Multiply-adds per second to plan with: a tenth of what was measured, since kernels reach less than plain arithmetic does, and a
    /// power of two, so that small differences between two measurements do not change a plan.
    pub(crate) fn prudent_rate(&self) -> f64 {
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
        writeln!(f, "matrix units: {}", self.matrix)?;
        writeln!(f, "multiply-adds: {:.1} G/s", self.mul_adds_per_second * 1e-9)?;
        writeln!(f, "probe: {:.0} ms", self.seconds * 1e3)
    }
}

/// Adapter name, driver, driver version, backend, and the optional features of the device in use.
type Key = (String, String, String, String, bool, bool, Option<MatrixUnit>);

/// The adapter's probe, from an earlier device of this process if there was one.
pub(crate) async fn cached(gpu: &Gpu) -> Result<Probe, RunError> {
    static KNOWN: OnceLock<Mutex<HashMap<Key, Probe>>> = OnceLock::new();
    let known = KNOWN.get_or_init(Mutex::default);
    let info = gpu.info();
    let text = |s: &String| s.clone();
    let names = (text(&info.name), text(&info.driver), text(&info.driver_info), text(&info.backend));
    let key = (names.0, names.1, names.2, names.3, info.f16, info.timestamps, gpu.matrix_unit());
    if let Some(probe) = lock(known).get(&key) {
        return Ok(probe.clone());
    }
    let probe = measure::measure(gpu).await?;
    lock(known).insert(key, probe.clone());
    Ok(probe)
}
