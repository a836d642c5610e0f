//! Adapters: what there is, which to take, and its limits as the planner sees them.

use std::fmt;

use gatefold_shaders::{DeviceKind, Limits, MatrixUnit};

use crate::RunError;
use crate::device::enumerate;
use crate::error::DRIVER_HELP;

/// Kind of adapter, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdapterKind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the host's memory.
    Integrated,
    /// A GPU of a virtual machine.
    Virtual,
    /// Not told: what browsers say.
    Other,
    /// A software driver.
    Cpu,
}

impl From<wgpu::DeviceType> for AdapterKind {
    fn from(kind: wgpu::DeviceType) -> Self {
        match kind {
            wgpu::DeviceType::DiscreteGpu => Self::Discrete,
            wgpu::DeviceType::IntegratedGpu => Self::Integrated,
            wgpu::DeviceType::VirtualGpu => Self::Virtual,
            wgpu::DeviceType::Other => Self::Other,
            wgpu::DeviceType::Cpu => Self::Cpu,
        }
    }
}

impl fmt::Display for AdapterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discrete => "discrete GPU",
            Self::Integrated => "integrated GPU",
            Self::Virtual => "virtual GPU",
            Self::Other => "GPU",
            Self::Cpu => "software driver",
        })
    }
}

/// An adapter in plain values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterSummary {
    /// Position in [`adapters`]; 0 for a caller's own device.
    pub index: usize,
    /// Name by the driver: `llvmpipe (LLVM 15.0.6, 256 bits)`.
    pub name: String,
    /// Driver name.
    pub driver: String,
    /// Driver version.
    pub driver_info: String,
    /// Graphics interface in use: `vulkan`, `metal`, `dx12`, `webgpu`.
    pub backend: String,
    /// Kind.
    pub kind: AdapterKind,
    /// Whether f16 may be stored.
    pub f16: bool,
    /// Smallest and largest subgroup, if there are subgroup operations.
    pub subgroup: Option<(u32, u32)>,
    /// Whether the device keeps time itself.
    pub timestamps: bool,
}

impl AdapterSummary {
    pub(crate) fn new(index: usize, info: &wgpu::AdapterInfo, features: wgpu::Features) -> Self {
        let subgroup = (info.subgroup_min_size, info.subgroup_max_size);
        Self {
            index,
            name: info.name.clone(),
            driver: info.driver.clone(),
            driver_info: info.driver_info.clone(),
            backend: info.backend.to_str().into(),
            kind: info.device_type.into(),
            f16: features.contains(wgpu::Features::SHADER_F16),
            subgroup: features.contains(wgpu::Features::SUBGROUP).then_some(subgroup),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        }
    }

    /// Whether `wanted` is this adapter's index or part of its name or driver, whatever the case.
    fn matches(&self, wanted: &str) -> bool {
        let part = wanted.to_lowercase();
        wanted.parse() == Ok(self.index)
            || self.name.to_lowercase().contains(&part)
            || self.driver.to_lowercase().contains(&part)
    }
}

impl fmt::Display for AdapterSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, name, kind, backend, driver, driver_info, .. } = self;
        write!(f, "{index}: {name} ({kind}, {backend}, {driver} {driver_info}")?;
        if self.f16 {
            f.write_str(", f16")?;
        }
        match self.subgroup {
            Some((low, high)) if low == high => write!(f, ", subgroups of {low}")?,
            Some((low, high)) => write!(f, ", subgroups of {low} to {high}")?,
            None => {}
        }
        f.write_str(if self.timestamps { ", timestamps)" } else { ")" })
    }
}

/// Which limits and features a device is opened with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LimitChoice {
    /// All that the adapter has.
    #[default]
    Adapter,
    /// Exactly WebGPU's defaults and no optional feature: 8 storage buffers, 16 KiB of workgroup memory, 256 invocations, bindings of
    /// 128 MiB. What runs here runs in every browser.
    WebGpuDefault,
}

/// Every adapter of this machine, in the order of their index.
pub async fn adapters_async() -> Vec<AdapterSummary> {
    let found = enumerate(false).await;
    found.iter().enumerate().map(|(i, a)| AdapterSummary::new(i, &a.get_info(), a.features())).collect()
}

/// Every adapter of this machine, in the order of their index. Empty, and no error, if there is no driver.
pub fn adapters() -> Vec<AdapterSummary> {
    pollster::block_on(adapters_async())
}

/// The adapter of that index or name, else the best: discrete, integrated, virtual, unknown, software.
pub(crate) async fn select(wanted: Option<&str>, strict: bool) -> Result<(wgpu::Adapter, AdapterSummary), RunError> {
    let found = enumerate(strict).await;
    let summaries: Vec<_> =
        found.iter().enumerate().map(|(i, a)| AdapterSummary::new(i, &a.get_info(), a.features())).collect();
    let chosen = match wanted {
        Some(wanted) => summaries.iter().find(|s| s.matches(wanted)),
        None => summaries.iter().min_by_key(|s| s.kind),
    };
    let Some(summary) = chosen.cloned() else {
        let names = summaries.iter().map(|s| format!("{}: {}", s.index, s.name)).collect::<Vec<_>>().join("; ");
        let help = if summaries.is_empty() { DRIVER_HELP.into() } else { "name one of these, or its index".into() };
        return Err(RunError::NoAdapter {
            wanted: wanted.map_or("at all".into(), |w| format!("like \"{w}\"")),
            found: if names.is_empty() { "none".into() } else { names },
            help,
        });
    };
    let adapter = found.into_iter().nth(summary.index);
    adapter.map(|a| (a, summary)).ok_or_else(|| RunError::NoAdapter {
        wanted: "at all".into(),
        found: "none".into(),
        help: DRIVER_HELP.into(),
    })
}

/// Loop trips to count on where nothing was measured: below the lowest cap known, 65,535 on Mesa's software driver.
const SAFE_TRIPS: u64 = 65_000;

/// Invocations of a workgroup that is one wave. Metal states a range that tells nothing, and its compiler has got workgroups of 32 wrong.
fn wave(info: &wgpu::AdapterInfo) -> u32 {
    let states_its_own = matches!(info.backend, wgpu::Backend::Vulkan | wgpu::Backend::Dx12);
    if states_its_own && (2..=32).contains(&info.subgroup_min_size) { 32 } else { 64 }
}

/// The largest square matrices that the adapter multiplies, f16 in and f32 out, and the workgroup that is the largest subgroup.
pub(crate) fn matrix_unit(adapter: &wgpu::Adapter) -> Option<MatrixUnit> {
    let features = wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX | wgpu::Features::SHADER_F16;
    if !adapter.features().contains(features) {
        return None;
    }
    let (half, single) = (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32);
    let fits = |p: &wgpu::CooperativeMatrixProperties| {
        p.ab_type == half && p.cr_type == single && p.m_size == p.n_size && p.n_size == p.k_size
    };
    let found = adapter.cooperative_matrix_properties();
    let edge = found.iter().filter(|p| fits(p)).map(|p| p.m_size).filter(|edge| matches!(edge, 8 | 16)).max()?;
    // Vulkan wants a workgroup that is a multiple of the subgroup, whichever size the driver takes.
    let lanes = adapter.get_info().subgroup_max_size;
    (lanes.is_power_of_two() && (8..=64).contains(&lanes)).then_some(MatrixUnit { edge, lanes })
}

/// Workgroups that keep a software driver's cores busy, some of them uneven.
const CPU_BUSY_GROUPS: u64 = 16;

/// A device's limits as the planner sees them, before anything is measured.
pub(crate) fn limits_of(info: &wgpu::AdapterInfo, device: &wgpu::Device) -> Limits {
    let (given, features) = (device.limits(), device.features());
    // A kernel may rely on the subgroup size only if there is just one.
    let one_size = info.subgroup_min_size == info.subgroup_max_size && info.subgroup_min_size > 1;
    let subgroup = features.contains(wgpu::Features::SUBGROUP) && one_size;
    let defaults = Limits::webgpu_default();
    let kind = if info.device_type == wgpu::DeviceType::Cpu { DeviceKind::Cpu } else { DeviceKind::Gpu };
    Limits {
        kind,
        busy_groups: if kind == DeviceKind::Cpu { CPU_BUSY_GROUPS } else { defaults.busy_groups },
        workgroup_memory: given.max_compute_workgroup_storage_size,
        invocations: given.max_compute_invocations_per_workgroup,
        workgroup_size_x: given.max_compute_workgroup_size_x,
        storage_buffers: given.max_storage_buffers_per_shader_stage,
        groups_per_dim: given.max_compute_workgroups_per_dimension,
        binding_bytes: given.max_storage_buffer_binding_size,
        buffer_bytes: given.max_buffer_size,
        offset_alignment: u64::from(given.min_storage_buffer_offset_alignment),
        f16: features.contains(wgpu::Features::SHADER_F16),
        subgroup: subgroup.then_some(info.subgroup_min_size),
        wave: wave(info),
        loop_trips: SAFE_TRIPS,
        ..defaults
    }
}
