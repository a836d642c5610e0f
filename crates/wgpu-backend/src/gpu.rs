//! A device to run on.

use std::sync::Arc;
use std::time::Duration;

use gatefold_shaders::{DeviceKind, Limits, MatrixUnit};

use crate::adapters::{AdapterSummary, LimitChoice, limits_of, matrix_unit, select};
use crate::device::{Call, Handle, Health};
use crate::faults::FaultPlan;
use crate::pipelines::Pipelines;
use crate::probe::{self, MatrixTest, Probe};
use crate::{AdapterKind, RunError};

/// How a device is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Index of the adapter, or part of its name or driver, whatever the case. `None`: the best there is.
    pub adapter: Option<String>,
    /// Limits and features asked for.
    pub limits: LimitChoice,
    /// Whether to probe the adapter when it is first opened in this process (some 50 ms). Without it, loop trips and speed are guessed,
    /// and a broken driver is not noticed.
    pub probe: bool,
    /// Whether to use the adapter's matrix units, if it has any and the probe finds their sums exact.
    pub matrix: bool,
    /// Time without progress after which a run gives up with [`RunError::DeviceHung`]. `None`: 30 s, and 120 s on a software driver, which
    /// compiles at the first dispatch and shares its cores with everything else.
    pub patience: Option<Duration>,
    /// Faults on demand, for tests.
    #[doc(hidden)]
    pub faults: Option<Arc<FaultPlan>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { adapter: None, limits: LimitChoice::Adapter, probe: true, matrix: true, patience: None, faults: None }
    }
}

/// An open device: runs ops, keeps their pipelines. May be shared between threads.
#[derive(Debug)]
pub struct Gpu {
    handle: Handle,
    info: AdapterSummary,
    limits: Limits,
    probe: Probe,
    /// Matrix units to be tested.
    matrix: Option<MatrixUnit>,
    pipelines: Pipelines,
    options: Options,
    own: bool,
}

/// Tells a [`Gpu`] over the caller's own device that the device is lost. To be called in the caller's device-lost callback.
#[derive(Debug, Clone)]
pub struct LostMarker(Arc<Health>);

impl LostMarker {
    /// Marks the device as lost. Every later call on the [`Gpu`] gives [`RunError::DeviceLost`] with this reason.
    pub fn mark(&self, reason: impl Into<String>) {
        self.0.lose(reason.into());
    }
}

/// Optional features that kernels or timing use.
const FEATURES: wgpu::Features =
    wgpu::Features::SHADER_F16.union(wgpu::Features::SUBGROUP).union(wgpu::Features::TIMESTAMP_QUERY);

/// Leave to use features whose soundness wgpu does not vouch for.
#[allow(
    unsafe_code,
    reason = "only for matrix units, in kernels of our own that are validated, and only after their self-test"
)]
fn experimental() -> wgpu::ExperimentalFeatures {
    // SAFETY: the one such feature asked for is EXPERIMENTAL_COOPERATIVE_MATRIX. All modules are this crate's own.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}

impl Gpu {
    /// Opens the best adapter with all its limits. Blocks.
    ///
    /// # Errors
    /// [`RunError::NoAdapter`] if there is no driver, [`RunError::OpenDevice`] if it gives no device, [`RunError::AdapterUnfit`] if the
    /// probe finds that its results cannot be trusted.
    pub fn new() -> Result<Self, RunError> {
        Self::open(&Options::default())
    }

    /// Opens an adapter. Blocks.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn open(options: &Options) -> Result<Self, RunError> {
        pollster::block_on(Self::open_async(options))
    }

    /// Opens an adapter.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub async fn open_async(options: &Options) -> Result<Self, RunError> {
        let (adapter, summary) = select(options.adapter.as_deref()).await?;
        let mut matrix = None;
        let (mut required_features, required_limits) = match options.limits {
            LimitChoice::Adapter => (adapter.features() & FEATURES, adapter.limits()),
            LimitChoice::WebGpuDefault => (wgpu::Features::empty(), wgpu::Limits::defaults()),
        };
        if options.limits == LimitChoice::Adapter && options.matrix && options.probe {
            matrix = matrix_unit(&adapter);
        }
        let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
        if matrix.is_some() {
            required_features |= wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX;
            experimental_features = experimental();
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("gatefold"),
            required_features,
            required_limits,
            experimental_features,
            ..Default::default()
        };
        let (device, queue) = adapter
            .request_device(&descriptor)
            .await
            .map_err(|e| RunError::OpenDevice { adapter: summary.name.clone(), message: e.to_string() })?;
        Self::assemble(summary.index, &adapter.get_info(), (device, queue), options, matrix, true).await
    }

    /// Runs on the caller's own device, with the limits and features that it was opened with. `info` is the adapter's. Blocks while the
    /// adapter is probed.
    ///
    /// The device's callbacks stay the caller's: a device-lost callback should call [`LostMarker::mark`].
    ///
    /// # Errors
    /// [`RunError::AdapterUnfit`] if the probe finds that results cannot be trusted; any fault of the device during the probe.
    pub fn from_device(info: &wgpu::AdapterInfo, device: wgpu::Device, queue: wgpu::Queue) -> Result<Self, RunError> {
        pollster::block_on(Self::from_device_async(info, device, queue, &Options::default()))
    }

    /// Runs on the caller's own device. Of the options, `probe` and `patience` have a meaning: which shapes its matrix
    /// units have is not known, so they are not used.
    ///
    /// # Errors
    /// As [`from_device`](Self::from_device).
    pub async fn from_device_async(
        info: &wgpu::AdapterInfo,
        device: wgpu::Device,
        queue: wgpu::Queue,
        options: &Options,
    ) -> Result<Self, RunError> {
        Self::assemble(0, info, (device, queue), options, None, false).await
    }

    async fn assemble(
        index: usize,
        info: &wgpu::AdapterInfo,
        (device, queue): (wgpu::Device, wgpu::Queue),
        options: &Options,
        matrix: Option<MatrixUnit>,
        own: bool,
    ) -> Result<Self, RunError> {
        let limits = limits_of(info, &device);
        let summary = AdapterSummary::new(index, info, device.features());
        let handle = Handle::new(device, queue, own, options.faults.clone());
        let (probe, pipelines, options) = (Probe::default(), Pipelines::default(), options.clone());
        let mut gpu = Self { handle, info: summary, limits, probe, matrix, pipelines, options, own };
        if gpu.options.probe {
            let probe = probe::cached(&gpu).await?;
            if let Some(reason) = probe.unfit() {
                return Err(RunError::AdapterUnfit { adapter: gpu.info.name, reason });
            }
            gpu.limits.loop_trips = probe.safe_trips();
            gpu.limits.mul_adds_per_second = probe.prudent_rate();
            if let MatrixTest::Exact(unit) = probe.matrix {
                gpu.limits.matrix = Some(unit);
            }
            gpu.probe = probe;
        }
        Ok(gpu)
    }

    /// Opens the same adapter again, after a loss. Pipelines are built anew.
    ///
    /// # Errors
    /// As [`new`](Self::new); [`RunError::OwnDevice`] if the device came from the caller.
    pub fn reopen(&self) -> Result<Self, RunError> {
        pollster::block_on(self.reopen_async())
    }

    /// Opens the same adapter again.
    ///
    /// # Errors
    /// As [`reopen`](Self::reopen).
    pub async fn reopen_async(&self) -> Result<Self, RunError> {
        if self.own { Self::open_async(&self.options).await } else { Err(RunError::OwnDevice) }
    }

    /// Limits that plans are made for. Loop trips and speed are the probe's.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The adapter; its features are those the device was opened with.
    pub fn info(&self) -> &AdapterSummary {
        &self.info
    }

    /// What the probe found; [`Probe::measured`] is false if it did not run.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// The device, to make buffers and encoders on.
    pub fn device(&self) -> &wgpu::Device {
        &self.handle.device
    }

    /// The queue, to submit to.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.handle.queue
    }

    /// Through which the caller's device-lost callback reports the loss.
    pub fn lost_marker(&self) -> LostMarker {
        LostMarker(Arc::clone(&self.handle.health))
    }

    /// Whether the device still lives.
    ///
    /// # Errors
    /// [`RunError::DeviceLost`] if it does not.
    pub fn check(&self) -> Result<(), RunError> {
        self.handle.look(&Call::new("checking", "the device"))
    }

    /// Every variant built so far and the seconds its linking and compiling took, by name.
    pub fn build_seconds(&self) -> Vec<(String, f64)> {
        self.pipelines.seconds()
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Matrix units of the adapter, tested or not.
    pub(crate) fn matrix_unit(&self) -> Option<MatrixUnit> {
        self.matrix
    }

    pub(crate) fn pipelines(&self) -> &Pipelines {
        &self.pipelines
    }

    pub(crate) fn patience(&self) -> Duration {
        let slow = self.limits.kind == DeviceKind::Cpu || self.info.kind == AdapterKind::Cpu;
        self.options.patience.unwrap_or(Duration::from_secs(if slow { 120 } else { 30 }))
    }
}
