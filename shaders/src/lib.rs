//! How the GPU computes it: WGSL kernels and, beside each, the host contract. No wgpu here.
//!
//! [`Kernels::plan`] turns an op's spec and an adapter's [`Limits`] into a [`Plan`]: a list of [`Step`]s, each a kernel file, the slot
//! files linked to it, constants, and dispatches. [`link`](link::link) turns a step into the WGSL text that the driver compiles.

#![forbid(unsafe_code)]

pub mod attention;
mod choices;
mod compose;
mod error;
pub mod gemm;
mod limits;
pub mod link;
pub mod lint;
mod plan;
pub mod prove;
pub mod reflect;
pub mod routing;
pub mod rowwise;
pub mod scrub;
mod source;
mod spans;
mod unroll;

pub use choices::{Choices, ShapeClass};
pub use error::{LinkError, PlanError};
pub use limits::{DeviceKind, Limits, MatrixUnit};
pub use plan::{Dispatch, Loop, Packed, Param, Plan, Safety, Scratch, Step, Window, fold_groups};
pub use source::Source;

use gatefold_core::Op;

/// An op that has kernels.
pub trait Kernels: Op {
    /// Chooses schedule, tiles, files, constants and grid for an adapter. Pure: the same spec and limits give the same plan.
    /// The spec has been validated.
    ///
    /// # Errors
    /// [`PlanError`] with both numbers, if the adapter cannot run the op.
    fn plan(&self, limits: &Limits) -> Result<Plan, PlanError> {
        limits.check(Self::NAME)?;
        spans::finished(self.draft(limits)?, limits)
    }

    /// What [`plan`](Self::plan) looks over before it gives it: of all ops alike, whether the adapter can run the steps and hold the scratch.
    ///
    /// # Errors
    /// [`PlanError`] as of [`plan`](Self::plan).
    fn draft(&self, limits: &Limits) -> Result<Plan, PlanError>;

    /// The shape classes of the op's kernels, each with the tiles that could serve it on this adapter: what a tuner may choose from. A
    /// choice in [`Limits::choices`] makes [`plan`](Self::plan) take that tile. None, the default: there is nothing to choose.
    fn classes(&self, limits: &Limits) -> Vec<ShapeClass> {
        let _ = limits;
        Vec::new()
    }

    /// A small op of the same shape classes that takes any numbers as its inputs: what a tile is tried on before it is trusted. `None`, the
    /// default: the op itself, if it is small.
    fn trial(&self) -> Option<Self> {
        None
    }
}
