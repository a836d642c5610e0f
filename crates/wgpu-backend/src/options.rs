//! How a device is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::adapters::LimitChoice;
use crate::device::FaultPlan;
use crate::probe::Lie;
use crate::tuning::Tuning;

/// How a device is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Index of the adapter, or part of its name or driver, whatever the case. `None`: the best there is.
    pub adapter: Option<String>,
    /// Limits and features asked for.
    pub limits: LimitChoice,
    /// Whether to probe the adapter when it is first opened in this process (some 50 ms). Without it, loop trips and speed are guessed,
    /// a broken driver is not noticed, and no fast path is taken, f16 included: see [`Gpu::verdicts`](crate::Gpu::verdicts).
    pub probe: bool,
    /// Whether to use the adapter's matrix units, if it has any and the probe finds their sums exact.
    pub matrix: bool,
    /// Time without progress after which a run gives up with [`RunError::DeviceHung`](crate::RunError::DeviceHung). `None`: 30 s, and 120 s on a software driver, which
    /// compiles at the first dispatch and shares its cores with everything else.
    pub patience: Option<Duration>,
    /// Whether runs may map kernels' buffers instead of copying through staging ones, where host and device share memory (software
    /// drivers, integrated GPUs) and the device has [`MAPPABLE_PRIMARY_BUFFERS`](wgpu::Features::MAPPABLE_PRIMARY_BUFFERS). The outputs
    /// are the same.
    pub mapped: bool,
    /// Folder in which the driver's compiled pipelines are kept between processes, in a file per adapter; made if it is not there. `None`,
    /// the default: none. Worth it on real drivers whose own cache is off; software drivers keep nothing in it. What came of it is
    /// [`Gpu::pipeline_cache`](crate::Gpu::pipeline_cache). The folder must be writable by no one who is not trusted: the driver believes what is in it.
    pub pipeline_cache: Option<PathBuf>,
    /// Whether every kernel is compiled with naga's runtime checks, also those whose indices and trip counts the plan has proven to stay in
    /// range ([`Step::proven`](crate::Step::proven)). Results are the same; on GPUs it costs a fifth of the speed and more.
    pub checked: bool,
    /// Whether every kernel overwrites its workgroup memory before it ends. Some drivers leave it to whatever program runs next
    /// (LeftoverLocals, CVE-2023-4969): worth it where others' programs share the adapter and inputs are secret. Costs a barrier and a few
    /// stores per workgroup; results are the same.
    pub scrub_locals: bool,
    /// Whether wgpu holds itself to WebGPU as it is written: adapters that fall short of it are not found, features and limits beyond it
    /// are not there. What runs so does not lean on anything of wgpu's own.
    pub strict: bool,
    /// Choices of tiles from an earlier [`Gpu::tuning`](crate::Gpu::tuning), as one shipped with a program. Passed over, with a reason in
    /// [`Gpu::tuning_sources`](crate::Gpu::tuning_sources), if it is for another adapter, driver or version of this crate.
    pub tuning: Option<Tuning>,
    /// File in which [`Gpu::tune`](crate::Gpu::tune) keeps what it finds for later processes, as JSON; made if it is not there. One that is damaged or for
    /// another adapter, driver or version is passed over in the same way, and replaced when something is tuned.
    pub tuning_file: Option<PathBuf>,
    /// File in which probes and self-tests are kept for later processes, as JSON, by adapter and driver; made if it is not there. A device
    /// that it knows is not probed. What is damaged or of another version is passed over ([`Gpu::verdict_file`](crate::Gpu::verdict_file)) and replaced. To be
    /// writable by no one who is not trusted, as [`pipeline_cache`](Self::pipeline_cache). Removing it makes the next opening test again.
    pub verdict_file: Option<PathBuf>,
    /// Self-tests that lie, for tests.
    #[doc(hidden)]
    pub lies: Vec<Lie>,
    /// Faults on demand, for tests.
    #[doc(hidden)]
    pub faults: Option<Arc<FaultPlan>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            adapter: None,
            limits: LimitChoice::Adapter,
            probe: true,
            matrix: true,
            patience: None,
            mapped: true,
            pipeline_cache: None,
            checked: false,
            scrub_locals: false,
            strict: false,
            tuning: None,
            tuning_file: None,
            verdict_file: None,
            lies: Vec::new(),
            faults: None,
        }
    }
}
