//! How a plan runs: Gatefold's ops on wgpu, on any adapter.
//!
//! [`Gpu`] opens a device, or takes the caller's own, and runs any op that has kernels. It knows no op by name: everything it needs is
//! in the op's operands and in the plan. Specs, tensors and plans are re-exported, so this crate is the only dependency a user needs.
//!
//! A call goes: inputs checked against the spec, plan chosen for the adapter, pipelines linked and compiled (once), buffers filled,
//! dispatches submitted a few at a time, outputs read back. Nothing panics on a fault of the device: see [`RunError`].

#![deny(unsafe_code)]

mod adapters;
mod agree;
mod bindings;
mod buffers;
mod device;
mod encode;
mod error;
mod execute;
mod gpu;
mod operand_buffers;
mod options;
mod pipeline_cache;
mod pipelines;
mod plans;
mod pool;
mod prepare;
mod probe;
mod readback;
mod run;
mod session;
mod signal;
mod timing;
mod tune;
mod tune_report;
mod tuning;
mod watch;
mod whole_file;

pub use adapters::{AdapterKind, AdapterSummary, LimitChoice, adapters, adapters_async};
#[doc(hidden)]
pub use device::{FaultKind, FaultPlan, Site};
pub use encode::Prepared;
pub use error::RunError;
pub use gpu::{Gpu, LostMarker};
pub use operand_buffers::Bindings;
pub use options::Options;
pub use pipeline_cache::PipelineCacheState;
#[doc(hidden)]
pub use probe::Lie;
pub use probe::{FastPath, MatrixTest, PathStatus, PathVerdict, Probe, Rounding, VerdictFile};
#[doc(hidden)]
pub use probe::{Runner, probe_on};
pub use run::{Ran, RunOptions};
pub use session::Session;
pub use timing::StepClock;
pub use tune::TuneOptions;
pub use tune_report::{Tried, TuneReport, TunedClass, Verdict};
pub use tuning::{Tuning, TuningSources, TuningState};

pub use gatefold_core::*;
pub use gatefold_shaders::{
    Choices, DeviceKind, Dispatch, Kernels, Limits, LinkError, MatrixUnit, Packed, Param, Plan, PlanError, Safety,
    Scratch, ShapeClass, Source, Step, Window,
};
pub use half;
pub use wgpu;
