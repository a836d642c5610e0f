//! One run: inputs up, dispatches, outputs down.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use gatefold_core::{Operand, Role, SpecError, Tensor, Tensors};
use gatefold_shaders::{Kernels, Limits, Plan, PlanError};

use crate::bindings::Job;
use crate::buffers::{Filling, allocate};
use crate::device::Handle;
use crate::execute::{Execution, Pass, cut, wanted};
use crate::prepare::Linked;
use crate::readback::Readback;
use crate::timing::{StepClock, Timestamps};
use crate::watch::Watch;
use crate::{Gpu, RunError};

/// How a plan is run. The default is a plain run.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    /// Word that outputs and scratch are filled with before the run. Nothing of it may be left in the outputs.
    pub poison: Option<u32>,
    /// Puts guard zones around every buffer and checks after the run that they, and the inputs, are unchanged: [`Ran::faults`].
    pub guard: bool,
    /// Measures each step: [`Ran::step_seconds`].
    pub timing: bool,
    /// Gives up with [`RunError::TimeOut`] after this time. Looked at between submissions and while waiting.
    pub deadline: Option<Duration>,
    /// Gives up with [`RunError::Cancelled`] once this is set. Looked at between submissions and while waiting.
    pub cancel: Option<Arc<AtomicBool>>,
}

/// A finished run.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// Outputs by name.
    pub outputs: Tensors,
    /// Guard zones and inputs that changed, in words. Empty unless [`RunOptions::guard`] was set, and then too if all is well.
    pub faults: Vec<String>,
    /// Seconds each step took, if [`RunOptions::timing`] was set.
    pub step_seconds: Option<Vec<f64>>,
    /// Which clock measured the steps.
    pub step_clock: StepClock,
    /// Seconds from the call to the outputs.
    pub wall_seconds: f64,
    /// Seconds of these spent on linking and compiling; 0 if every pipeline was there. Some drivers compile at the first dispatch: the
    /// rest of a first run's time is theirs.
    pub compile_seconds: f64,
}

/// Checks presence, shape and type of the inputs that the operands name.
fn check_inputs(operands: &[Operand], inputs: &Tensors) -> Result<(), SpecError> {
    for o in operands.iter().filter(|o| o.role.is_given()) {
        let Some(t) = inputs.get(o.name) else {
            return Err(SpecError::Missing { operand: o.name.into(), expected: o.dims.clone() });
        };
        if t.dims() != o.dims {
            return Err(SpecError::Shape {
                operand: o.name.into(),
                expected: o.dims.clone(),
                given: t.dims().to_vec(),
            });
        }
        if t.dtype() != o.dtype {
            return Err(SpecError::Dtype { operand: o.name.into(), expected: o.dtype, given: t.dtype() });
        }
    }
    Ok(())
}

/// What a plan without steps computes: zeros, and what it could have updated as it was.
fn unchanged(operands: &[Operand], inputs: &Tensors) -> Result<Tensors, RunError> {
    let mut outputs = Tensors::new();
    for o in operands.iter().filter(|o| o.role == Role::Output) {
        let bytes = vec![0; usize::try_from(o.bytes()).unwrap_or(usize::MAX)];
        outputs.insert(o.name, Tensor::from_bytes(o.dtype, o.dims.clone(), &bytes)?);
    }
    for o in operands.iter().filter(|o| o.role == Role::Updated) {
        outputs.insert(o.name, inputs[o.name].clone());
    }
    Ok(outputs)
}

/// How jobs are submitted and timed.
struct Schedule {
    timed: Option<StepClock>,
    submissions: Vec<Vec<Pass>>,
    stamps: Option<Timestamps>,
}

/// Cuts jobs into submissions; falls back to the host's clock if there are too many passes for timestamps.
async fn schedule(handle: &Handle, jobs: &[Job], mut timed: Option<StepClock>) -> Result<Schedule, RunError> {
    let mut submissions = cut(jobs, timed);
    let mut stamps = None;
    if timed == Some(StepClock::Gpu) {
        stamps = Timestamps::new(handle, submissions.iter().flatten().map(|p| p.step).collect()).await?;
        if stamps.is_none() {
            timed = Some(StepClock::Host);
            submissions = cut(jobs, timed);
        }
    }
    if submissions.is_empty() || timed == Some(StepClock::Host) {
        // Only the copies to staging, if there are any.
        submissions.push(Vec::new());
    }
    Ok(Schedule { timed, submissions, stamps })
}

impl Gpu {
    /// Checks the spec and chooses kernels for this adapter and its [`choices`](Self::choices). The plans of the last specs are kept: for a spec equal to one of them this
    /// allocates nothing.
    ///
    /// # Errors
    /// [`RunError::Spec`] for a spec that is not valid, [`RunError::Plan`] for one that this adapter cannot run.
    pub fn plan<O: Kernels>(&self, op: &O) -> Result<Arc<Plan>, RunError> {
        if let Some(plan) = self.plans().get(op) {
            return Ok(plan);
        }
        op.validate()?;
        let (choices, version) = self.plans().choices();
        let (choices, tiles) = self.trusted_choices(op, choices)?;
        let limits = Limits { choices, ..self.limits().clone() };
        let mut plan = self.settled(op, &limits).map_err(|error| self.explained(error))?;
        let paths = self.probe().reasons(&plan);
        plan.reasons.extend(tiles.into_iter().chain(paths));
        Ok(self.plans().keep(op, plan, version))
    }

    /// The plan for these limits, with the prover's word on every step.
    pub(crate) fn settled<O: Kernels>(&self, op: &O, limits: &Limits) -> Result<Plan, PlanError> {
        let mut plan = op.plan(limits)?;
        self.pipelines().settle(&mut plan, &op.operands());
        Ok(plan)
    }

    /// Runs an op and waits. Blocks; in a browser use [`run_async`](Self::run_async).
    ///
    /// # Errors
    /// [`RunError::Spec`] for inputs that do not fit the spec; every other variant as described there.
    pub fn run<O: Kernels>(&self, op: &O, inputs: O::Inputs) -> Result<O::Outputs, RunError> {
        pollster::block_on(self.run_async(op, inputs))
    }

    /// Runs an op.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_async<O: Kernels>(&self, op: &O, inputs: O::Inputs) -> Result<O::Outputs, RunError> {
        let inputs: Tensors = inputs.into();
        Ok(self.run_tensors_async(op, &inputs).await?.into())
    }

    /// Runs an op on tensors by name and waits.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_tensors<O: Kernels>(&self, op: &O, inputs: &Tensors) -> Result<Tensors, RunError> {
        pollster::block_on(self.run_tensors_async(op, inputs))
    }

    /// Runs an op on tensors by name.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_tensors_async<O: Kernels>(&self, op: &O, inputs: &Tensors) -> Result<Tensors, RunError> {
        op.check_inputs(inputs)?;
        let plan = self.plan(op)?;
        let ran = self.run_plan_async(&plan, &op.operands(), inputs, &RunOptions::default()).await?;
        op.check_outputs(&ran.outputs)?;
        Ok(ran.outputs)
    }

    /// Runs a plan and waits. The inputs are checked for presence, shape and type only; [`Op::check_inputs`](gatefold_core::Op::check_inputs) checks their contents too.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`RunError::TimeOut`] and [`RunError::Cancelled`] as the options ask.
    pub fn run_plan(
        &self,
        plan: &Plan,
        operands: &[Operand],
        inputs: &Tensors,
        options: &RunOptions,
    ) -> Result<Ran, RunError> {
        pollster::block_on(self.run_plan_async(plan, operands, inputs, options))
    }

    /// Runs a plan.
    ///
    /// # Errors
    /// As [`run_plan`](Self::run_plan).
    pub async fn run_plan_async(
        &self,
        plan: &Plan,
        operands: &[Operand],
        inputs: &Tensors,
        options: &RunOptions,
    ) -> Result<Ran, RunError> {
        let handle = self.handle();
        let watch = Watch::new(options.deadline, options.cancel.clone(), self.patience());
        handle.begin(plan.op)?;
        check_inputs(operands, inputs)?;
        let step_clock = if self.info().timestamps { StepClock::Gpu } else { StepClock::Host };
        if plan.steps.is_empty() {
            let (outputs, wall_seconds) = (unchanged(operands, inputs)?, watch.seconds());
            let step_seconds = options.timing.then(Vec::new);
            return Ok(Ran {
                outputs,
                faults: Vec::new(),
                step_seconds,
                step_clock,
                wall_seconds,
                compile_seconds: 0.0,
            });
        }
        watch.check(plan.op)?;
        let linked = Linked::new(handle, self.pipelines(), plan).await?;
        let limits = self.limits();
        let guard = if options.guard { limits.offset_alignment.max(256) } else { 0 };
        let filling = Filling { guard, poison: options.poison, binding_bytes: limits.binding_bytes };
        let slots = allocate(handle, plan, operands, inputs, |name| linked.binds(name), &filling).await?;
        let places: Vec<_> = slots.iter().map(|s| s.place.clone()).collect();
        let (jobs, params) = linked.jobs(handle, &places).await?;
        let Schedule { timed, submissions, stamps } =
            schedule(handle, &jobs, options.timing.then_some(step_clock)).await?;
        let (pieces, wanted) = wanted(&slots, options.guard, stamps.as_ref());
        let readback = Readback::new(handle, pieces).await?;
        let execution = Execution { handle, plan, watch: &watch, jobs, timed, stamps, readback };
        let (mappings, host_seconds) = execution.run(&submissions).await?;
        let mut ran = Ran {
            outputs: Tensors::new(),
            faults: Vec::new(),
            step_seconds: timed.map(|_| host_seconds),
            step_clock: timed.unwrap_or(step_clock),
            wall_seconds: 0.0,
            compile_seconds: linked.compile_seconds,
        };
        execution.collect(mappings, &wanted, &slots, (operands, inputs), &mut ran).await?;
        execution.release(slots, params);
        ran.wall_seconds = watch.seconds();
        Ok(ran)
    }
}
