//! Checks a case's kernels at its shape, then times it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use gatefold_core::Op;
use gatefold_cpu_ref::{Reference, bounded_as};
use gatefold_shaders::{Kernels, Plan};
use gatefold_tests::compare::compare;
use gatefold_tests::conformance::run_op;
use gatefold_tests::run_case::Status;
use gatefold_tests::sampled::draw;
use gatefold_wgpu::{Gpu, Ran, RunOptions, StepClock};

use super::cases::Timed;
use super::ceilings::step_seconds;
use super::report::{Ceilings, Checked, Row};

/// Cases of an op's conformance check before it is timed.
const SEEDS: u64 = 12;

/// Fewest and most timed runs.
const FEWEST: usize = 3;
const MOST: usize = 200;

/// What a twin's check found.
#[derive(Debug, Clone)]
struct Twin {
    ratio: f64,
    size: String,
    /// Whether it ran the very kernels that are timed.
    same: bool,
    compile: f64,
}

/// Times cases on one adapter.
pub(super) struct Bench<'a> {
    gpu: &'a Gpu,
    ceilings: Ceilings,
    /// Time for the runs of one row.
    budget: Duration,
    /// Largest admissible error ÷ bound.
    gate: f64,
    /// By op and the kernels' names.
    twins: HashMap<(&'static str, Vec<String>), Twin>,
}

/// Conformance of one op: a dozen seeds, half of them planned edges, half drawn.
pub(super) fn conformance<O: Reference + Kernels>(gpu: &Gpu, gate: f64) -> Checked {
    let seeds = O::PLANNED - SEEDS / 2..O::PLANNED + SEEDS / 2;
    let cases = run_op::<O>(gpu, seeds, gate, &mut |_| ());
    let wrong = cases.iter().find(|c| c.status == Status::Failed);
    let failure = wrong.map(|c| {
        let (name, seed) = (O::NAME, c.seed);
        format!("seed {seed} fails: {} (replay: cargo xtask repro {name} {seed})", c.faults.join("; "))
    });
    let worst_ratio = cases.iter().map(|c| c.ratio).fold(0.0, f64::max);
    Checked { op: O::NAME.into(), cases: cases.len(), worst_ratio, failure }
}

/// Names of a plan's kernels, in order, each once.
fn variants(plan: &Plan) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for step in &plan.steps {
        if !names.contains(&step.name) {
            names.push(step.name.clone());
        }
    }
    names
}

/// Name of the kernel that took most of a run's time.
fn main_kernel(plan: &Plan, ran: &Ran) -> String {
    let seconds = ran.step_seconds.as_deref().unwrap_or_default();
    let longest = plan.steps.iter().zip(seconds).max_by(|a, b| a.1.total_cmp(b.1));
    longest.map_or_else(String::new, |(step, _)| step.name.clone())
}

/// A value of a sorted list at a share of its length.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[floor(at)], sorted[floor(at.ceil())]);
    low + (high - low) * at.fract()
}

fn floor(at: f64) -> usize {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index between 0 and a length")]
    let index = at as usize;
    index
}

impl<'a> Bench<'a> {
    pub(super) fn new(gpu: &'a Gpu, ceilings: Ceilings, budget: Duration, gate: f64) -> Self {
        Self { gpu, ceilings, budget, gate, twins: HashMap::new() }
    }

    fn run<O: Op>(&self, plan: &Plan, op: &O, inputs: &gatefold_core::Tensors) -> Result<Ran> {
        let options = RunOptions { timing: true, ..RunOptions::default() };
        self.gpu.run_plan(plan, &op.operands(), inputs, &options).with_context(|| op.label())
    }

    /// Checks the smallest twin that runs the same kernels, else the largest one. Done once for the same kernels.
    fn twin<T: Timed>(&mut self, timed: &T, plan: &Plan) -> Result<Twin> {
        let (names, op) = (variants(plan), T::Op::NAME);
        if let Some(known) = self.twins.get(&(op, names.clone())) {
            return Ok(known.clone());
        }
        let mut chosen = None;
        for twin in timed.twins() {
            let plan = self.gpu.plan(twin.op())?;
            let same = variants(&plan) == names;
            chosen = Some((twin, plan, same));
            if same {
                break;
            }
        }
        let (twin, plan, same) = chosen.ok_or_else(|| anyhow!("{op}: no twin to check"))?;
        let inputs = twin.complete_on(self.gpu, draw(twin.op())?)?;
        let twin = twin.op();
        let first = self.run(&plan, twin, &inputs)?;
        let second = self.run(&plan, twin, &inputs)?;
        let found =
            compare(&bounded_as(twin, &inputs, plan.rounds_weights), &second.outputs).map_err(|e| anyhow!(e))?;
        if found.ratio > self.gate {
            bail!("{op} {} [{}] is wrong: {}", twin.label(), twin.size_label(), found.describe());
        }
        let compile = (first.wall_seconds - second.wall_seconds).max(first.compile_seconds);
        let twin = Twin { ratio: found.ratio, size: twin.size_label(), same, compile };
        self.twins.insert((op, names), twin.clone());
        Ok(twin)
    }

    /// Checks, warms up and times one case.
    pub(super) fn row<T: Timed>(&mut self, timed: &T) -> Result<Row> {
        let (op, name) = (timed.op(), T::Op::NAME);
        let plan = self.gpu.plan(op)?;
        let twin = self.twin(timed, &plan)?;
        let inputs = timed.complete_on(self.gpu, draw(op)?)?;
        let warm = self.run(&plan, op, &inputs)?;
        let sampled = timed.sampled(&plan, &inputs, &warm.outputs)?;
        if sampled.is_some_and(|ratio| ratio > self.gate) {
            bail!(
                "{name} {} [{}]: rows of the output are wrong, error ÷ bound {sampled:?}",
                op.label(),
                op.size_label()
            );
        }
        let (mut seconds, start) = (Vec::new(), Instant::now());
        let mut last = None;
        while seconds.len() < FEWEST || (start.elapsed() < self.budget && seconds.len() < MOST) {
            let ran = self.run(&plan, op, &inputs)?;
            seconds.push(step_seconds(&ran));
            // Every kernel here is deterministic: another result means that a run went wrong.
            if seconds.len() == 1 && ran.outputs != warm.outputs {
                bail!("{name} {} [{}]: two runs differ", op.label(), op.size_label());
            }
            last = Some(ran);
        }
        seconds.sort_by(f64::total_cmp);
        Ok(self.filled(timed, &plan, &twin, sampled, &seconds, &last.unwrap_or(warm)))
    }

    fn filled<T: Timed>(
        &self,
        timed: &T,
        plan: &Plan,
        twin: &Twin,
        sampled: Option<f64>,
        seconds: &[f64],
        ran: &Ran,
    ) -> Row {
        let op = timed.op();
        let (facts, cost, median) = (timed.facts(), op.cost(), quantile(seconds, 0.5).max(1e-12));
        let (gflops, gbs) = (cost.flops / median * 1e-9, cost.bytes / median * 1e-9);
        let share = if facts.by_bytes { gbs / self.ceilings.copy_gbs } else { gflops / self.ceilings.f32_gflops };
        let kernels = if twin.same { "the same kernels" } else { "kernels of another tile size" };
        let rows = if sampled.is_some() { "6 rows at this shape, and " } else { "" };
        Row {
            op: T::Op::NAME.into(),
            label: timed.label(),
            shape: op.size_label(),
            variants: variants(plan),
            main: main_kernel(plan, ran),
            function: facts.function,
            backward: facts.backward,
            causal: facts.causal,
            dtype: facts.dtype.name().into(),
            length: facts.length,
            head_dim: facts.head_dim,
            by_bytes: facts.by_bytes,
            median,
            quartile_low: quantile(seconds, 0.25),
            quartile_high: quantile(seconds, 0.75),
            fastest: quantile(seconds, 0.0),
            slowest: quantile(seconds, 1.0),
            runs: seconds.len(),
            clock: if ran.step_clock == StepClock::Gpu { "gpu" } else { "host" }.into(),
            flops: cost.flops,
            bytes: cost.bytes,
            gflops,
            gbs,
            share,
            error_ratio: sampled.unwrap_or(0.0).max(twin.ratio),
            check: format!("{rows}every element of {} by {kernels}", twin.size),
            compile: twin.compile,
            extra_bytes: plan.extra_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between() {
        assert_eq!(quantile(&[1.0, 2.0, 4.0], 0.5), 2.0);
        assert_eq!(quantile(&[1.0, 2.0], 0.5), 1.5);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.25), 2.0);
        assert_eq!(quantile(&[7.0], 1.0), 7.0);
    }
}
