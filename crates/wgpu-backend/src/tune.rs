//! The tuner: tries the tiles that could serve an op on this adapter, and keeps those that are right and faster.

use std::time::Duration;

use gatefold_core::{Operand, Tensors};
use gatefold_shaders::{Choices, Kernels, Limits, Plan, ShapeClass};

use crate::agree::disagreement;
use crate::probe::POISON;
use crate::watch::Clock;
use crate::{Gpu, Ran, RunError, RunOptions, Tried, TuneReport, TunedClass, Verdict, tuning};

/// How an op is tuned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TuneOptions {
    /// Time for all of it, compilation included. Looked at before each tile; one that was begun is let finish, and the default always
    /// runs. Software drivers take a second or more to compile a tile.
    pub budget: Duration,
    /// Share of the default's time that a tile must save to take its place: below it, the difference is noise.
    pub gain: f64,
    /// Tries classes again that have a choice already, as those of an earlier process.
    pub again: bool,
}

impl Default for TuneOptions {
    /// 2 s, 3 %, and classes with a choice are left alone.
    fn default() -> Self {
        Self { budget: Duration::from_secs(2), gain: 0.03, again: false }
    }
}

/// Runs of each of two plans, taken in turn: at least, at most, and the time after which the least will do.
const FEWEST: usize = 3;
const MOST: usize = 15;
const ENOUGH: Duration = Duration::from_millis(200);

/// One op being tuned.
struct Tuner<'a, O: Kernels> {
    gpu: &'a Gpu,
    op: &'a O,
    operands: Vec<Operand>,
    inputs: &'a Tensors,
    options: &'a TuneOptions,
    clock: Clock,
}

/// The plan that others are measured against, and what it gives.
struct Baseline {
    plan: Plan,
    outputs: Tensors,
}

/// Middle of the values.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::INFINITY)
}

/// Seconds of the steps that two plans do not share; all of them if nothing is shared step by step.
fn differing(a: &Plan, b: &Plan) -> Vec<usize> {
    let steps = a.steps.iter().zip(&b.steps).enumerate();
    let different: Vec<_> = steps.filter(|(_, (a, b))| a.name != b.name).map(|(index, _)| index).collect();
    if a.steps.len() != b.steps.len() || different.is_empty() { (0..a.steps.len()).collect() } else { different }
}

impl<O: Kernels> Tuner<'_, O> {
    /// The plan with these choices and no others.
    fn plan(&self, choices: Choices) -> Result<Plan, RunError> {
        Ok(self.gpu.settled(self.op, &Limits { choices, ..self.gpu.limits().clone() })?)
    }

    async fn run(&self, plan: &Plan, options: &RunOptions) -> Result<Ran, RunError> {
        self.gpu.run_plan_async(plan, &self.operands, self.inputs, options).await
    }

    /// Runs a plan once, with poison and guard zones, and compares it. Returns the plan's outputs, or why it is not to be used.
    async fn verify(&self, plan: &Plan, baseline: Option<&Baseline>) -> Result<Result<Tensors, String>, RunError> {
        let options = RunOptions { poison: Some(POISON), guard: true, ..RunOptions::default() };
        let ran = match self.run(plan, &options).await {
            Ok(ran) => ran,
            Err(error @ (RunError::DeviceLost { .. } | RunError::DeviceHung { .. })) => return Err(error),
            Err(error) => return Ok(Err(error.to_string())),
        };
        if !ran.faults.is_empty() {
            return Ok(Err(ran.faults.join("; ")));
        }
        let wrong = baseline.and_then(|b| disagreement(&b.outputs, &ran.outputs, self.op.cost().flops));
        Ok(wrong.map_or(Ok(ran.outputs), Err))
    }

    /// Median seconds of the steps in which two plans differ, run in turn.
    async fn time(&self, default: &Plan, other: &Plan) -> Result<(f64, f64), RunError> {
        let options = RunOptions { timing: true, ..RunOptions::default() };
        let steps = differing(default, other);
        let whole = default.steps.len() != other.steps.len();
        let seconds = |ran: &Ran| match &ran.step_seconds {
            Some(all) if whole => all.iter().sum(),
            Some(all) => steps.iter().filter_map(|&s| all.get(s)).sum(),
            None => ran.wall_seconds,
        };
        let (mut ours, mut theirs, clock) = (Vec::new(), Vec::new(), Clock::start());
        while ours.len() < FEWEST || (ours.len() < MOST && clock.elapsed() < ENOUGH) {
            ours.push(seconds(&self.run(default, &options).await?));
            theirs.push(seconds(&self.run(other, &options).await?));
        }
        Ok((median(&mut ours), median(&mut theirs)))
    }

    /// Verifies and times one tile of a class.
    async fn attempt(&self, class: &str, tile: &str, baseline: &Baseline) -> Result<Tried, RunError> {
        let clock = Clock::start();
        let tried = |verdict| Tried { tile: tile.into(), verdict, seconds: clock.elapsed().as_secs_f64() };
        let mut choices = Choices::new();
        choices.set(class, tile);
        let plan = match self.plan(choices) {
            Ok(plan) => plan,
            Err(error) => return Ok(tried(Verdict::Rejected { reason: error.to_string() })),
        };
        if let Err(reason) = self.verify(&plan, Some(baseline)).await? {
            return Ok(tried(Verdict::Rejected { reason }));
        }
        let (default, seconds) = self.time(&baseline.plan, &plan).await?;
        Ok(tried(Verdict::Timed { seconds, default }))
    }

    /// Tries the tiles of a class until the budget is spent.
    async fn class(&self, class: &ShapeClass, baseline: &Baseline) -> Result<TunedClass, RunError> {
        let mut tuned = TunedClass::new(class);
        for tile in class.tiles.iter().skip(1) {
            let tried = if self.clock.elapsed() < self.options.budget {
                self.attempt(&class.name, tile, baseline).await?
            } else {
                Tried { tile: tile.clone(), verdict: Verdict::NotTried, seconds: 0.0 }
            };
            tuned.tried.push(tried);
        }
        tuned.choose(self.options.gain);
        Ok(tuned)
    }

    async fn tune(self) -> Result<TuneReport, RunError> {
        let mut report = TuneReport::default();
        let mut choices = self.gpu.choices();
        let wanted = |class: &ShapeClass| self.options.again || choices.get(&class.name).is_none();
        let (open, known): (Vec<_>, Vec<_>) =
            self.op.classes(self.gpu.limits()).into_iter().partition(|class| class.tiles.len() > 1 && wanted(class));
        report.classes.extend(known.iter().map(|class| TunedClass::known(class, &choices)));
        if open.is_empty() {
            report.seconds = self.clock.elapsed().as_secs_f64();
            return Ok(report);
        }
        let plan = self.plan(Choices::new())?;
        let outputs = self.run(&plan, &RunOptions::default()).await?.outputs;
        let baseline = Baseline { plan, outputs };
        let mut found = Choices::new();
        for class in &open {
            let tuned = self.class(class, &baseline).await?;
            // A default that was not compared with all others is none of the tuner's findings.
            if tuned.chosen != class.tiles[0] || tuned.is_complete() {
                found.set(class.name.clone(), tuned.chosen.clone());
            }
            report.classes.push(tuned);
        }
        // Each was verified beside the defaults of the other classes; now together.
        let together = self.plan(found.clone())?;
        if open.len() > 1
            && let Err(reason) = self.verify(&together, Some(&baseline)).await?
        {
            report.classes.iter_mut().for_each(|class| class.give_up(&reason));
        } else if !found.is_empty() {
            choices.extend(&found);
            self.gpu.set_choices(choices);
            let file = self.gpu.options().tuning_file.as_deref();
            report.not_saved = file.and_then(|f| tuning::save(f, self.gpu.info(), &found).err()).map(|e| e.to_string());
        }
        self.note(&report);
        report.seconds = self.clock.elapsed().as_secs_f64();
        Ok(report)
    }

    /// Keeps what was found of each tile: one that passed is followed without being tried again, one that did not is never taken.
    fn note(&self, report: &TuneReport) {
        for class in &report.classes {
            for Tried { tile, verdict, .. } in &class.tried {
                let result = match verdict {
                    Verdict::NotTried => continue,
                    Verdict::Timed { .. } => Ok(()),
                    Verdict::Rejected { reason } => Err(reason.clone()),
                };
                self.gpu.note_tile(&class.class, tile, result);
            }
        }
    }
}

impl Gpu {
    /// Tries the tiles that could serve an op on this adapter, on these inputs, and keeps the fastest for all plans of the same shape
    /// classes: see [`choices`](Self::choices), and [`tuning`](Self::tuning) to keep them beyond this process. Blocks.
    ///
    /// The default runs first. A tile is timed only after its outputs agreed with the default's, up to rounding, with poisoned buffers and
    /// guard zones; one that differs or fails is reported and never chosen. Both are timed in turn, by the device's clock where it has one.
    ///
    /// # Errors
    /// As [`run`](Self::run): the inputs do not fit, or the default cannot run. What is wrong with another tile is in the report.
    pub fn tune<O: Kernels>(
        &self,
        op: &O,
        inputs: impl Into<Tensors>,
        options: &TuneOptions,
    ) -> Result<TuneReport, RunError> {
        pollster::block_on(self.tune_async(op, inputs, options))
    }

    /// As [`tune`](Self::tune).
    ///
    /// # Errors
    /// As [`tune`](Self::tune).
    pub async fn tune_async<O: Kernels>(
        &self,
        op: &O,
        inputs: impl Into<Tensors>,
        options: &TuneOptions,
    ) -> Result<TuneReport, RunError> {
        let inputs = inputs.into();
        op.check_inputs(&inputs)?;
        let tuner = Tuner { gpu: self, op, operands: op.operands(), inputs: &inputs, options, clock: Clock::start() };
        tuner.tune().await
    }
}
