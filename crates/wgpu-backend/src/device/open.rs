//! Finding adapters and asking one for a device.

use super::faults::{FaultKind, FaultPlan, injected};
use super::{Call, Site};
use crate::RunError;

/// Every adapter of this machine; `strict`: that is WebGPU to the letter. Empty, and no error, if there is no driver.
pub(crate) async fn enumerate(strict: bool) -> Vec<wgpu::Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    // The default would load the interface's validation layers in debug builds.
    descriptor.flags = wgpu::InstanceFlags::empty();
    descriptor.flags.set(wgpu::InstanceFlags::STRICT_WEBGPU_COMPLIANCE, strict);
    descriptor.backends = wgpu::Instance::enabled_backend_features();
    if descriptor.backends.is_empty() {
        return Vec::new();
    }
    wgpu::Instance::new(descriptor).enumerate_adapters(wgpu::Backends::all()).await
}

/// A device of an adapter, which is called `name`.
pub(crate) async fn request(
    adapter: &wgpu::Adapter,
    name: &str,
    descriptor: &wgpu::DeviceDescriptor<'_>,
    faults: Option<&FaultPlan>,
) -> Result<(wgpu::Device, wgpu::Queue), RunError> {
    let call = Call::new(Site::Open, name);
    let fault = faults.and_then(|f| f.next(call.site));
    if let Some(kind) = fault.filter(|kind| *kind != FaultKind::Lost) {
        return Err(injected(kind, &call.text(), call.bytes));
    }
    let opened = adapter.request_device(descriptor).await;
    let opened = opened.map_err(|e| RunError::OpenDevice { adapter: name.into(), message: e.to_string() })?;
    if fault.is_some() {
        opened.0.destroy();
    }
    Ok(opened)
}

/// Leave to use features whose soundness wgpu does not vouch for.
#[allow(
    unsafe_code,
    reason = "only for matrix units, in kernels of our own that are validated, and only after their self-test"
)]
pub(crate) fn experimental() -> wgpu::ExperimentalFeatures {
    // SAFETY: the one such feature asked for is EXPERIMENTAL_COOPERATIVE_MATRIX. All modules are this crate's own.
    unsafe { wgpu::ExperimentalFeatures::enabled() }
}
