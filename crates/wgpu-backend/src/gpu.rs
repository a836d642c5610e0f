//! A device to run on.

use std::sync::Arc;
use std::time::Duration;

use gatefold_shaders::{Choices, DeviceKind, Limits, MatrixUnit};

use crate::adapters::{AdapterSummary, LimitChoice, limits_of, matrix_unit, select};
use crate::device::{Handle, Health, experimental, request};
use crate::options::Options;
use crate::pipeline_cache::{DiskCache, PipelineCacheState};
use crate::pipelines::Pipelines;
use crate::plans::Plans;
use crate::probe::{self, FastPath, Probe, Trust};
use crate::tuning::{self, Tuning, TuningSources};
use crate::{AdapterKind, RunError};

/// An open device: runs ops, keeps their pipelines. May be shared between threads.
#[derive(Debug)]
pub struct Gpu {
    handle: Arc<Handle>,
    info: AdapterSummary,
    limits: Limits,
    probe: Probe,
    trust: Arc<Trust>,
    /// Matrix units to be tested.
    matrix: Option<MatrixUnit>,
    pipelines: Arc<Pipelines>,
    plans: Arc<Plans>,
    pipeline_cache: PipelineCacheState,
    tuning_sources: TuningSources,
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

/// Optional features that kernels, timing or transfers use.
const FEATURES: wgpu::Features =
    wgpu::Features::SHADER_F16.union(wgpu::Features::SUBGROUP).union(wgpu::Features::TIMESTAMP_QUERY);

/// Whether host and device share one memory, so that a buffer that both reach is slow for neither.
fn is_unified(info: &wgpu::AdapterInfo) -> bool {
    matches!(info.device_type, wgpu::DeviceType::Cpu | wgpu::DeviceType::IntegratedGpu)
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
        let (adapter, summary) = select(options.adapter.as_deref(), options.strict).await?;
        let mut matrix = None;
        let (mut required_features, required_limits) = match options.limits {
            LimitChoice::Adapter => {
                let mut wanted = FEATURES;
                wanted.set(wgpu::Features::PIPELINE_CACHE, options.pipeline_cache.is_some());
                wanted.set(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS, options.mapped && is_unified(&adapter.get_info()));
                (adapter.features() & wanted, adapter.limits())
            }
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
        let opened = request(&adapter, &summary.name, &descriptor, options.faults.as_deref()).await?;
        Self::assemble(summary.index, &adapter.get_info(), opened, options, matrix, true).await
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

    /// Runs on the caller's own device. Of the options, `adapter` and `limits` have no meaning, nor has `matrix`: which shapes its
    /// matrix units have is not known, so they are not used.
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
        let mappable = device.features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS);
        let mapped = options.mapped && mappable && is_unified(info);
        let handle = Arc::new(Handle::new((device, queue), own, mapped, options.faults.clone()));
        let folder = options.pipeline_cache.as_deref();
        let (disk, pipeline_cache) = DiskCache::open(&handle, folder, info, &summary).await;
        let (probe, pipelines, options) =
            (Probe::default(), Arc::new(Pipelines::new(disk, options.checked, options.scrub_locals)), options.clone());
        let (choices, tuning_sources) = tuning::open(&options, &summary);
        let plans = Arc::new(Plans::default());
        plans.choose(choices);
        let info = summary;
        let mut gpu = Self {
            handle,
            info,
            limits,
            probe,
            trust: Arc::default(),
            matrix,
            pipelines,
            plans,
            pipeline_cache,
            tuning_sources,
            options,
            own,
        };
        gpu.check()?;
        let (probe, limits, trust) = probe::open(&gpu).await?;
        if !probe.passed(&FastPath::Unchecked) {
            gpu.pipelines.keep_checks();
        }
        (gpu.probe, gpu.limits, gpu.trust) = (probe, limits, Arc::new(trust));
        Ok(gpu)
    }

    /// The same device, pipelines and plans for another owner of buffers.
    pub(crate) fn for_another(&self) -> Self {
        Self {
            handle: Arc::new(self.handle.for_another()),
            info: self.info.clone(),
            limits: self.limits.clone(),
            probe: self.probe.clone(),
            trust: Arc::clone(&self.trust),
            matrix: self.matrix,
            pipelines: Arc::clone(&self.pipelines),
            plans: Arc::clone(&self.plans),
            pipeline_cache: self.pipeline_cache.clone(),
            tuning_sources: self.tuning_sources.clone(),
            options: self.options.clone(),
            own: self.own,
        }
    }

    /// Opens the same adapter again, after a loss. Pipelines are built anew; choices of tiles stay.
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
        if !self.own {
            return Err(RunError::OwnDevice);
        }
        let gpu = Self::open_async(&self.options).await?;
        gpu.set_choices(self.choices());
        Ok(gpu)
    }

    /// Limits that plans are made for. Loop trips and speed are the probe's; the choices of tiles are apart: see [`choices`](Self::choices).
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
        self.handle.bare().0
    }

    /// The queue, to submit to.
    pub fn queue(&self) -> &wgpu::Queue {
        self.handle.bare().1
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
        self.handle.begin("anything else")
    }

    /// Bytes of buffers that finished runs left for the next: at most 256 MiB.
    pub fn kept_bytes(&self) -> u64 {
        self.handle.kept_bytes()
    }

    /// Frees the buffers that finished runs left for the next.
    pub fn trim(&self) {
        self.handle.free_kept();
    }

    /// Whether runs map kernels' buffers instead of copying through staging ones: see [`Options::mapped`].
    pub fn is_mapped(&self) -> bool {
        self.handle.mapped
    }

    /// What came of [`Options::pipeline_cache`].
    pub fn pipeline_cache(&self) -> &PipelineCacheState {
        &self.pipeline_cache
    }

    /// Writes the pipeline cache, as dropping this does too if something was built. Returns the bytes of the driver's data; 0 without a
    /// cache.
    ///
    /// # Errors
    /// What the file system says.
    pub fn save_pipeline_cache(&self) -> std::io::Result<usize> {
        self.pipelines.disk.as_ref().map_or(Ok(0), DiskCache::save)
    }

    /// Every variant built so far and the seconds its linking and compiling took, by name.
    pub fn build_seconds(&self) -> Vec<(String, f64)> {
        self.pipelines.seconds()
    }

    /// The tiles in force where they are not the defaults, by shape class.
    pub fn choices(&self) -> Choices {
        self.plans.choices().0
    }

    /// Replaces the choices of tiles. Plans made from now on follow them; those in the caller's hands stay as they are.
    pub fn set_choices(&self, choices: Choices) {
        self.plans.choose(choices);
    }

    /// The choices in force and what they are good for: to be kept, or shipped with a program, as [`Options::tuning`].
    pub fn tuning(&self) -> Tuning {
        Tuning::new(&self.info, self.choices())
    }

    /// What came of [`Options::tuning`] and [`Options::tuning_file`].
    pub fn tuning_sources(&self) -> &TuningSources {
        &self.tuning_sources
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn handle(&self) -> &Arc<Handle> {
        &self.handle
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Matrix units of the adapter, tested or not.
    pub(crate) fn matrix_unit(&self) -> Option<MatrixUnit> {
        self.matrix
    }

    pub(crate) fn pipelines(&self) -> &Pipelines {
        &self.pipelines
    }

    pub(crate) fn plans(&self) -> &Plans {
        &self.plans
    }

    pub(crate) fn patience(&self) -> Duration {
        let slow = self.limits.kind == DeviceKind::Cpu || self.info.kind == AdapterKind::Cpu;
        self.options.patience.unwrap_or(Duration::from_secs(if slow { 120 } else { 30 }))
    }
}
