//! A case ready to be run: ops with their inputs, and what must come out.

use gatefold_core::Tensors;
use gatefold_cpu_ref::{Reference, bounded_as, outputs};
use gatefold_shaders::{Kernels, PlanError};
use gatefold_wgpu::{Gpu, RunError};

use crate::compare::compare;

/// Who computes.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    /// The definition in f64.
    Reference,
    /// Kernels on an adapter.
    Adapter(&'a Gpu),
}

/// Why a case has no result.
#[derive(Debug, Clone, PartialEq)]
pub enum Stop {
    /// Outside of what the library offers, named.
    NotSupported(String),
    /// Wrong, or a file that cannot be read.
    Wrong(String),
}

impl From<String> for Stop {
    fn from(why: String) -> Self {
        Self::Wrong(why)
    }
}

/// An op with its inputs, some of which come from earlier jobs.
pub trait Job {
    /// Runs it; adds its outputs to `made`. The largest error ÷ bound, for an adapter.
    fn run(&self, subject: Subject<'_>, made: &mut Tensors) -> Result<Option<f64>, Stop>;
}

/// A [`Job`] of op `O`.
pub struct OpJob<O> {
    /// The spec.
    pub op: O,
    /// Inputs from the file.
    pub inputs: Tensors,
    /// Names of inputs that are outputs of earlier jobs.
    pub from_earlier: Vec<&'static str>,
}

impl<O: Reference + Kernels> Job for OpJob<O> {
    fn run(&self, subject: Subject<'_>, made: &mut Tensors) -> Result<Option<f64>, Stop> {
        let mut inputs = self.inputs.clone();
        for &name in &self.from_earlier {
            inputs.insert(name, made.get(name).cloned().ok_or_else(|| format!("{name}: not made by an earlier op"))?);
        }
        self.op.check_inputs(&inputs).map_err(|e| Stop::Wrong(e.to_string()))?;
        // a spec from a file has no Rust functions
        self.op.check_reference().map_err(|e| Stop::NotSupported(e.to_string()))?;
        let (given, ratio) = match subject {
            Subject::Reference => (outputs(&self.op, &inputs), None),
            Subject::Adapter(gpu) => {
                let given = match gpu.run_tensors(&self.op, &inputs) {
                    Ok(given) => given,
                    Err(RunError::Plan(e @ PlanError::Feature { .. })) => {
                        return Err(Stop::NotSupported(e.to_string()));
                    }
                    Err(e) => return Err(Stop::Wrong(e.to_string())),
                };
                let rounds_weights = gpu.plan(&self.op).is_ok_and(|plan| plan.rounds_weights);
                let found = compare(&bounded_as(&self.op, &inputs, rounds_weights), &given)?;
                if found.ratio > 1.0 {
                    return Err(Stop::Wrong(format!("{} beyond its bound: {}", O::NAME, found.describe())));
                }
                (given, Some(found.ratio))
            }
        };
        for (name, t) in given.iter() {
            made.insert(name, t.clone());
        }
        Ok(ratio)
    }
}

/// What an output must be: `|got − want| ≤ absolute + relative·|want|`, special values exactly.
#[derive(Debug, Clone)]
pub struct Want {
    /// Output name.
    pub output: String,
    /// Shape of the output as the op gives it.
    pub dims: Vec<usize>,
    /// Expected elements.
    pub values: Vec<f64>,
    /// Absolute part of the tolerance.
    pub absolute: f64,
    /// Relative part.
    pub relative: f64,
}

impl Want {
    /// Checks an output. Gives the largest share of the tolerance that was used.
    pub fn check(&self, made: &Tensors) -> Result<f64, Stop> {
        let name = &self.output;
        let got = made.get(name).ok_or_else(|| format!("{name}: expected by the file, but not an output of the op"))?;
        if got.dims() != self.dims {
            return Err(Stop::Wrong(format!(
                "{name}: the file has shape {:?}, the op gives {:?}",
                self.dims,
                got.dims()
            )));
        }
        let mut worst = 0.0f64;
        for (at, (got, &want)) in got.to_f64().into_iter().zip(&self.values).enumerate() {
            let same = got == want || (got.is_nan() && want.is_nan());
            let allowed = self.absolute + self.relative * want.abs();
            let used = if same { 0.0 } else { (got - want).abs() / allowed };
            let within = used <= 1.0 && want.is_finite();
            if !(same || within) {
                return Err(Stop::Wrong(format!(
                    "{name}[{at}]: got {got:e}, the file says {want:e}, allowed {allowed:e}"
                )));
            }
            worst = worst.max(used);
        }
        Ok(worst)
    }
}

/// A file's case, ready to be run.
#[derive(Default)]
pub struct Case {
    /// Ops in order.
    pub jobs: Vec<Box<dyn Job>>,
    /// Expected outputs.
    pub wants: Vec<Want>,
    /// What was left out or changed, in words.
    pub notes: Vec<String>,
}

/// What a subject made of a case.
pub struct Made {
    /// Every output of every op.
    pub outputs: Tensors,
    /// Largest error ÷ bound, for an adapter.
    pub ratio: Option<f64>,
    /// Largest share of the file's tolerance that was used.
    pub used: f64,
}

impl Case {
    /// Runs the ops and checks the outputs.
    ///
    /// # Errors
    /// [`Stop`] with the first fault.
    pub fn run(&self, subject: Subject<'_>) -> Result<Made, Stop> {
        let mut made = Made { outputs: Tensors::new(), ratio: None, used: 0.0 };
        for job in &self.jobs {
            let ratio = job.run(subject, &mut made.outputs)?;
            made.ratio = ratio.into_iter().chain(made.ratio).reduce(f64::max);
        }
        for want in &self.wants {
            made.used = made.used.max(want.check(&made.outputs)?);
        }
        Ok(made)
    }
}
