//! What can go wrong between a plan and its outputs.

use gatefold_core::SpecError;
use gatefold_shaders::{LinkError, PlanError};

/// How to get a driver, appended to [`RunError::NoAdapter`].
pub(crate) const DRIVER_HELP: &str = "install a GPU driver (Vulkan, Metal or Direct3D 12); on Debian or Ubuntu a software driver is \
     `apt-get install libvulkan1 mesa-vulkan-drivers`";

/// A run that did not give outputs. Names the operand, buffer or variant, and both numbers where there are two.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The caller's mistake: a spec or an input. Found before anything is allocated.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The adapter cannot run this spec.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A fault in a kernel file or a plan.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// There is no adapter, or none that matches.
    #[error("no adapter {wanted}: found {found}; {help}")]
    NoAdapter {
        /// What was asked for, in words.
        wanted: String,
        /// The adapters found, in words.
        found: String,
        /// What to do about it.
        help: String,
    },
    /// The opening probe found that results of this adapter cannot be trusted.
    #[error("adapter {adapter} is unfit: {reason}")]
    AdapterUnfit {
        /// Adapter name.
        adapter: String,
        /// What the probe saw.
        reason: String,
    },
    /// A spec needs a path that the adapter has but may not be trusted with: its self-test failed, or was not asked for.
    #[error("{operand}: {verdict}")]
    Untrusted {
        /// What needs it.
        operand: String,
        /// The verdict, in words.
        verdict: String,
    },
    /// The adapter refused to give a device.
    #[error("adapter {adapter} gave no device: {message}")]
    OpenDevice {
        /// Adapter name.
        adapter: String,
        /// What the driver says.
        message: String,
    },
    /// A buffer would be larger than the device allows.
    #[error("{what}: needs a buffer of {need} bytes, the device allows {have}")]
    TooLarge {
        /// Operand or buffer.
        what: String,
        /// Bytes needed.
        need: u64,
        /// Bytes allowed.
        have: u64,
    },
    /// The device ran out of memory. Everything allocated for this call has been freed; the device stays usable.
    #[error("out of memory: {what}, {bytes} bytes")]
    OutOfMemory {
        /// What was being made.
        what: String,
        /// Its size in bytes; 0 where it has none.
        bytes: u64,
    },
    /// The device is gone: destroyed, reset, or its driver updated. [`Gpu::reopen`](crate::Gpu::reopen) gives a new one.
    #[error("device lost ({reason}), noticed: {when}")]
    DeviceLost {
        /// What was being done when it was noticed.
        when: String,
        /// What the driver says.
        reason: String,
    },
    /// The device made no progress for a long time.
    #[error("device hung: no progress for {seconds:.1} s while waiting for {what}")]
    DeviceHung {
        /// What was waited for.
        what: String,
        /// Seconds without progress.
        seconds: f64,
    },
    /// The deadline of [`RunOptions`](crate::RunOptions) passed.
    #[error("time-out: {what} was not finished within {seconds:.3} s")]
    TimeOut {
        /// What was waited for.
        what: String,
        /// Seconds allowed.
        seconds: f64,
    },
    /// The caller's cancel token was set.
    #[error("cancelled before {what}")]
    Cancelled {
        /// What would have come next.
        what: String,
    },
    /// The driver did not build a pipeline. Remembered: the same variant is not tried again on this device.
    #[error("{variant}: pipeline was not built: {message}")]
    PipelineBuild {
        /// Variant name.
        variant: String,
        /// What the compiler says.
        message: String,
    },
    /// wgpu refused a call. A fault of ours, unless the caller's own buffers are involved.
    #[error("{what}: refused by validation: {message}")]
    Validation {
        /// What was being done.
        what: String,
        /// What wgpu says.
        message: String,
    },
    /// The driver failed inside.
    #[error("{what}: internal error of the driver: {message}")]
    Internal {
        /// What was being done.
        what: String,
        /// What the driver says.
        message: String,
    },
    /// A staging buffer could not be read by the host.
    #[error("{what}: buffer could not be mapped: {message}")]
    MapFailed {
        /// What was to be read.
        what: String,
        /// What wgpu says.
        message: String,
    },
    /// A buffer given to [`Gpu::encode`](crate::Gpu::encode) cannot be used.
    #[error("{operand}: expected {expected}, got {given}")]
    Binding {
        /// Operand name.
        operand: String,
        /// What is needed.
        expected: String,
        /// What was bound.
        given: String,
    },
    /// [`Gpu::reopen`](crate::Gpu::reopen) on a device that the caller made.
    #[error("the device is the caller's own: open a new one and give it to Gpu::from_device")]
    OwnDevice,
}
