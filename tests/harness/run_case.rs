//! One case on one adapter: planned under its profile, run with two poisons, compared with the reference.

use std::sync::OnceLock;
use std::time::Instant;

use gatefold_core::{Cost, Tensors};
use gatefold_cpu_ref::{Bounded, Case, Reference, Values, bounded, bounded_as};
use gatefold_shaders::{Kernels, Limits, Plan, PlanError};
use gatefold_wgpu::{Rounding, RunError, RunOptions};
use serde::{Deserialize, Serialize};

use crate::compare::{compare, flash_ratio, poison_left, same_bits};
use crate::executor::Executor;
use crate::profile::{Profile, beyond, mix};
use crate::report::or_infinite;

/// What outputs and scratch are filled with: NaNs of two kinds. Results must not depend on which.
pub const POISONS: [u32; 2] = [0x7FC0_DEAD, 0xFFFF_FFFF];

/// A case with its exact outputs.
pub struct Prepared<O> {
    /// Spec and inputs.
    pub case: Case<O>,
    /// Exact outputs and their bounds.
    pub exact: Bounded,
    /// The same for plans that round weights to f16.
    exact_f16: OnceLock<Bounded>,
    /// Seconds the reference took.
    pub seconds: f64,
}

impl<O: Reference> Prepared<O> {
    /// Draws case `seed` and evaluates the reference on it.
    pub fn new(seed: u64) -> Self {
        Self::of(O::case(seed))
    }

    /// Evaluates the reference on a case.
    pub fn of(case: Case<O>) -> Self {
        let clock = Instant::now();
        let exact = bounded(&case.op, &case.inputs);
        Self { case, exact, exact_f16: OnceLock::new(), seconds: clock.elapsed().as_secs_f64() }
    }

    /// Exact outputs, with the bounds that hold for a plan.
    pub fn exact_for(&self, plan: &Plan) -> &Bounded {
        if plan.rounds_weights {
            self.exact_f16.get_or_init(|| bounded_as(&self.case.op, &self.case.inputs, true))
        } else {
            &self.exact
        }
    }
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Every element within its bound, nothing else changed.
    Passed,
    /// Wrong.
    Failed,
    /// The adapter lacks a feature that the case needs.
    Unsupported,
}

/// Whether a case costs little on a CPU too.
fn is_light(cost: &Cost) -> bool {
    cost.flops <= 2e6 && cost.bytes <= 2e5
}

/// One case on one adapter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseReport {
    /// Op name.
    pub op: String,
    /// Replays the case.
    pub seed: u64,
    /// What was computed.
    pub label: String,
    /// Its sizes.
    pub size: String,
    /// Limits that it was planned with.
    pub profile: String,
    /// How it ended.
    pub status: Status,
    /// Largest error ÷ bound; `null` in JSON if infinite.
    #[serde(deserialize_with = "or_infinite")]
    pub ratio: f64,
    /// The worst element in words.
    pub worst: String,
    /// Largest normalised mean square error of an output.
    #[serde(deserialize_with = "or_infinite")]
    pub nmse: f64,
    /// Largest error in units of the last place.
    #[serde(deserialize_with = "or_infinite")]
    pub ulp: f64,
    /// Largest error over that of a plain evaluation in f32; of one case in eight, f32, and 0 elsewhere.
    #[serde(default, deserialize_with = "or_infinite")]
    pub flash: f64,
    /// Elements compared.
    pub elements: usize,
    /// Whether it takes so little that it can be varied many times.
    pub light: bool,
    /// What went wrong, or why it was not run.
    pub faults: Vec<String>,
    /// Whether the device was lost with it, or the process that ran it ended: nothing more can be run there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
    /// Whether the squeezed limits were too small for the case, so that it ran under the adapter's own.
    pub refused: bool,
    /// Milliseconds on the adapter, both runs together.
    pub millis: f64,
    /// Milliseconds of the reference.
    pub reference_millis: f64,
}

impl CaseReport {
    fn new<O: Reference>(case: &Case<O>, profile: Profile) -> Self {
        Self {
            op: O::NAME.into(),
            seed: case.seed,
            label: case.op.label(),
            size: case.op.size_label(),
            profile: profile.to_string(),
            status: Status::Passed,
            ratio: 0.0,
            worst: String::new(),
            nmse: 0.0,
            ulp: 0.0,
            flash: 0.0,
            elements: 0,
            light: is_light(&case.op.cost()),
            faults: Vec::new(),
            lost: false,
            refused: false,
            millis: 0.0,
            reference_millis: 0.0,
        }
    }

    /// What is computed, without options: `sigmoid f16`.
    pub fn group(&self) -> String {
        let parts: Vec<_> = self.label.split('.').collect();
        match parts[..] {
            [first, .., last] => format!("{first} {last}"),
            _ => self.label.clone(),
        }
    }

    fn fail(mut self, fault: String) -> Self {
        self.status = Status::Failed;
        self.faults.push(fault);
        self
    }
}

/// Runs a plan once for each poison, without runtime checks where the planner claims that it may, as kernels ship where the claim is proven: to prove
/// it for each case would take longer than the case, and `shaders/tests/prove.rs` does for every variant. Gives the outputs and every fault seen; the first run's if the two differ.
///
/// # Errors
/// As [`Executor::run_plan`].
pub fn run_poisoned<O: Reference + Kernels>(
    gpu: &dyn Executor,
    case: &Case<O>,
    plan: &Plan,
) -> Result<(Tensors, Vec<String>), RunError> {
    let (operands, plan) = (case.op.operands(), plan.clone().claimed());
    let mut faults = Vec::new();
    let mut first: Option<Tensors> = None;
    for poison in POISONS {
        let options = RunOptions { poison: Some(poison), guard: true, ..RunOptions::default() };
        let ran = gpu.run_plan(&plan, &operands, &case.inputs, &options)?;
        faults.extend(ran.faults);
        faults.extend(poison_left(&ran.outputs, poison));
        match &first {
            None => first = Some(ran.outputs),
            Some(outputs) => faults.extend(same_bits(outputs, &ran.outputs).err().map(|e| format!("two poisons: {e}"))),
        }
    }
    Ok((first.unwrap_or_default(), faults))
}

/// The plan of an op under a profile. Falls back to the adapter's own limits if squeezed ones are too small; tells whether.
///
/// # Errors
/// Those of [`Kernels::plan`].
pub fn plan_case<O: Kernels>(op: &O, profile: Profile, adapter: &Limits) -> Result<(Plan, Limits, bool), PlanError> {
    let limits = profile.limits(adapter, &op.cost());
    match op.plan(&limits) {
        Err(
            PlanError::TooLarge { .. }
            | PlanError::Limit { .. }
            | PlanError::TooLong { .. }
            | PlanError::TooManyDispatches { .. },
        ) if profile != Profile::Native => Ok((op.plan(adapter)?, adapter.clone(), true)),
        Err(e) => Err(e),
        Ok(plan) => Ok((plan, limits, false)),
    }
}

/// The share of its allowance that a rounding to f16 uses: an element that hangs on one cannot be closer to exact.
fn rounding_share(gpu: &dyn Executor) -> f64 {
    if gpu.probe().f16_rounding == Some(Rounding::NearestEven) { 0.55 } else { 1.0 }
}

/// Runs a prepared case under the profile of its seed. `gate`: largest admissible error ÷ bound.
pub fn run_prepared<O: Reference + Kernels>(gpu: &dyn Executor, prepared: &Prepared<O>, gate: f64) -> CaseReport {
    run_under(gpu, prepared, Profile::of(prepared.case.seed), gate)
}

/// Runs a prepared case under any profile.
pub fn run_under<O: Reference + Kernels>(
    gpu: &dyn Executor,
    prepared: &Prepared<O>,
    profile: Profile,
    gate: f64,
) -> CaseReport {
    let case = &prepared.case;
    let mut report = CaseReport::new(case, profile);
    report.reference_millis = prepared.seconds * 1e3;
    if let Err(e) = case.op.check_inputs(&case.inputs) {
        return report.fail(format!("the drawn case is not legal: {e}"));
    }
    let (plan, limits, refused) = match plan_case(&case.op, profile, gpu.limits()) {
        Ok(found) => found,
        Err(e @ PlanError::Feature { .. }) => {
            report.status = Status::Unsupported;
            report.faults.push(e.to_string());
            return report;
        }
        Err(e) => return report.fail(e.to_string()),
    };
    report.refused = refused;
    report.faults = beyond(&plan, &limits);
    let clock = Instant::now();
    let (outputs, faults) = match run_poisoned(gpu, case, &plan) {
        Ok(found) => found,
        Err(e) => {
            report.lost = matches!(e, RunError::DeviceLost { .. } | RunError::DeviceHung { .. });
            return report.fail(e.to_string());
        }
    };
    report.millis = clock.elapsed().as_secs_f64() * 1e3;
    report.faults.extend(faults);
    match compare(prepared.exact_for(&plan), &outputs) {
        Err(e) => return report.fail(e),
        Ok(found) => {
            report.worst = found.describe();
            (report.ratio, report.elements) = (found.ratio, found.elements);
            // Norms say nothing where the exact outputs are zero or nearly so.
            if !case.is_degenerate() {
                (report.nmse, report.ulp) = (found.nmse, found.ulp);
                if (mix(case.seed) >> 40).is_multiple_of(8) && report.label.ends_with("f32") {
                    let plain = case.op.eval(&Values::<f32>::of(&case.inputs)).round(&case.op);
                    report.flash = flash_ratio(prepared.exact_for(&plan), &plain, &outputs);
                }
            }
        }
    }
    let gate = if plan.rounds_rows { gate.max(rounding_share(gpu)) } else { gate };
    let gate = if case.op.jumps() { gate.max(1.0) } else { gate };
    if report.ratio > gate {
        report.faults.push(format!("error/bound above {gate}: {}", report.worst));
    }
    if !report.faults.is_empty() {
        report.status = Status::Failed;
    }
    report
}

/// The report of a case that ended its process, and how.
pub fn crashed<O: Reference>(seed: u64, how: String) -> CaseReport {
    CaseReport { lost: true, ..CaseReport::new(&O::case(seed), Profile::of(seed)).fail(how) }
}

/// Draws, evaluates and runs case `seed` of op `O`.
pub fn run_case<O: Reference + Kernels>(gpu: &dyn Executor, seed: u64, gate: f64) -> CaseReport {
    run_prepared(gpu, &Prepared::<O>::new(seed), gate)
}
