//! What cases run on: wgpu, or another implementation of WebGPU.

use gatefold_core::{Operand, Tensors};
use gatefold_shaders::{Limits, Plan};
use gatefold_wgpu::{AdapterSummary, Gpu, Probe, Ran, RunError, RunOptions};

/// An open device that runs plans. The methods are those of [`Gpu`].
pub trait Executor {
    /// The adapter.
    fn info(&self) -> &AdapterSummary;
    /// Limits that plans are made for.
    fn limits(&self) -> &Limits;
    /// What the opening probe found.
    fn probe(&self) -> &Probe;
    /// Runs a plan and waits.
    ///
    /// # Errors
    /// As [`Gpu::run_plan`].
    fn run_plan(
        &self,
        plan: &Plan,
        operands: &[Operand],
        inputs: &Tensors,
        options: &RunOptions,
    ) -> Result<Ran, RunError>;
}

impl Executor for Gpu {
    fn info(&self) -> &AdapterSummary {
        self.info()
    }

    fn limits(&self) -> &Limits {
        self.limits()
    }

    fn probe(&self) -> &Probe {
        self.probe()
    }

    fn run_plan(
        &self,
        plan: &Plan,
        operands: &[Operand],
        inputs: &Tensors,
        options: &RunOptions,
    ) -> Result<Ran, RunError> {
        self.run_plan(plan, operands, inputs, options)
    }
}
