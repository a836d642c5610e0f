//! Every op × case on one adapter. The reference works in threads of its own while the adapter computes.

use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use gatefold_core::for_each_op;
use gatefold_cpu_ref::Reference;
use gatefold_shaders::Kernels;
use gatefold_wgpu::{AdapterKind, Gpu};
use rayon::prelude::*;

use crate::expectations::Expectations;
use crate::report::{OpReport, Report};
use crate::run_case::{CaseReport, Prepared, Status, run_prepared};

/// Hard limit: an error above its bound is wrong on every adapter.
pub const GATE: f64 = 1.0;

/// Least limit on software drivers, whose arithmetic is exact where the specification lets a GPU be sloppy.
pub const GATE_CPU: f64 = 0.25;

/// Cases of a default run, all ops together.
pub const CASES: u64 = 7_500;

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only the op of this name.
    pub op: Option<String>,
    /// Ten times as many cases.
    pub full: bool,
    /// Cases of all ops together; [`CASES`] if not given.
    pub cases: Option<u64>,
    /// First seed of each op. The planned edge cases begin at 0.
    pub first_seed: u64,
    /// Largest error ÷ bound; by the kind of adapter if not given.
    pub gate: Option<f64>,
}

/// Cases per op, as `(op name, cases)`, in proportion to the edge cases that each has planned: more edges, more combinations.
fn shares(total: u64) -> Vec<(&'static str, u64)> {
    let mut all = Vec::new();
    macro_rules! list {
        ($($op:ty),*) => {$( all.push((<$op as gatefold_core::Op>::NAME, <$op as Reference>::PLANNED)); )*};
    }
    for_each_op!(list);
    let sum: u64 = all.iter().map(|(_, edges)| edges).sum();
    all.iter().map(|&(name, edges)| (name, (total * edges).div_ceil(sum))).collect()
}

/// Prepares cases in a pool of two threads and sends each as soon as it is ready.
fn prepare<O: Reference>(seeds: std::ops::Range<u64>, work: impl FnOnce(Receiver<Prepared<O>>)) {
    // A few in advance: a large case must not let the adapter wait, and memory stays small.
    let (send, receive) = sync_channel(8);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let run = || {
                seeds.into_par_iter().for_each_with(send, |send, seed| {
                    // The receiver hangs up only if the run was given up.
                    let _ = send.send(Prepared::<O>::new(seed));
                });
            };
            match rayon::ThreadPoolBuilder::new().num_threads(2).build() {
                Ok(pool) => pool.install(run),
                Err(_) => run(),
            }
        });
        work(receive);
    });
}

/// The cases `seeds` of one op, by seed. `progress` is told each report as it comes.
pub fn run_op<O: Reference + Kernels>(
    gpu: &Gpu,
    seeds: std::ops::Range<u64>,
    gate: f64,
    progress: &mut dyn FnMut(&CaseReport),
) -> Vec<CaseReport> {
    let mut reports = Vec::new();
    prepare::<O>(seeds, |cases| {
        for prepared in cases {
            let report = run_prepared(gpu, &prepared, gate);
            progress(&report);
            reports.push(report);
        }
    });
    reports.sort_by_key(|r| r.seed);
    reports
}

/// The gate of an adapter. On a software driver it is [`GATE_CPU`], or the share of its allowance that the driver's worst builtin uses (by
/// the probe): an element that hangs on one `exp` or `log` cannot be closer to exact than that builtin.
pub fn gate(gpu: &Gpu) -> f64 {
    let p = gpu.probe();
    let builtins = [p.exp, p.exp2, p.log, p.divide, p.inverse_sqrt].into_iter().fold(GATE_CPU, f64::max);
    if gpu.info().kind == AdapterKind::Cpu { builtins.min(GATE) } else { GATE }
}

/// Planned cases of an op for a quick look: fifty or more, evenly spread, or all that it has.
pub fn some_planned<O: Reference>() -> impl Iterator<Item = u64> {
    #[allow(clippy::cast_possible_truncation, reason = "planned cases are few")]
    let apart = (O::PLANNED / 50).max(1) as usize;
    (0..O::PLANNED).step_by(apart)
}

/// Cases that [`conformance`] will run, for a progress bar.
pub fn count(options: &Options) -> u64 {
    planned(options).iter().map(|(_, n)| n).sum()
}

fn planned(options: &Options) -> Vec<(&'static str, u64)> {
    let total = options.cases.unwrap_or(CASES) * if options.full { 10 } else { 1 };
    let wanted = |name: &str| options.op.as_deref().is_none_or(|o| o == name);
    shares(total).into_iter().filter(|(name, _)| wanted(name)).collect()
}

/// Runs the cases of every op asked for. `progress` is told each case's report as it comes.
pub fn conformance(gpu: &Gpu, options: &Options, progress: &mut dyn FnMut(&CaseReport)) -> Report {
    let clock = Instant::now();
    let gate = options.gate.unwrap_or_else(|| gate(gpu));
    let expectations = Expectations::of_repository();
    let adapter = gpu.info().to_string();
    let mut report = Report {
        adapter: adapter.clone(),
        probe: gpu.probe().to_string(),
        first_seed: options.first_seed,
        gate,
        ..Report::default()
    };
    for (name, cases) in planned(options) {
        let seeds = options.first_seed..options.first_seed + cases;
        let reports = run_named(gpu, name, seeds, gate, progress);
        let verdicts = reports.iter().filter_map(|r| Some((r.clone(), expectations.judge(&adapter, r)?)));
        let wrong: Vec<_> = verdicts.collect();
        let unexpected = wrong.iter().filter(|(r, _)| r.status == Status::Failed).count();
        report.ops.push(OpReport::new(name, &reports, unexpected));
        report.failures.extend(wrong);
    }
    report.seconds = clock.elapsed().as_secs_f64();
    report
}

/// The cases of the op called `name`; none if there is no such op.
fn run_named(
    gpu: &Gpu,
    name: &str,
    seeds: std::ops::Range<u64>,
    gate: f64,
    progress: &mut dyn FnMut(&CaseReport),
) -> Vec<CaseReport> {
    macro_rules! find {
        ($($op:ty),*) => {$(
            if name == <$op as gatefold_core::Op>::NAME {
                return run_op::<$op>(gpu, seeds, gate, progress);
            }
        )*};
    }
    for_each_op!(find);
    Vec::new()
}

/// Names of all ops.
pub fn op_names() -> Vec<&'static str> {
    shares(0).into_iter().map(|(name, _)| name).collect()
}

/// What one case is and what came out, for people.
fn tell<O: Reference + Kernels>(gpu: &Gpu, seed: u64) -> (String, bool) {
    let prepared = Prepared::<O>::new(seed);
    let report = run_prepared(gpu, &prepared, gate(gpu));
    let limits = crate::profile::Profile::of(seed).limits(gpu.limits(), &prepared.case.op.cost());
    let plan = match prepared.case.op.plan(&limits) {
        Ok(plan) => plan.to_string(),
        Err(e) => format!("no plan: {e}\n"),
    };
    let spec = serde_json::to_string(&prepared.case.op).unwrap_or_else(|e| e.to_string());
    let text = format!(
        "{} seed {seed} on {}\nspec: {spec}\nnote: {}\nlabel: {} ({})\nlimits: {}: {limits:?}\n{plan}{:?}: worst {}\nNMSE {:.2e}, {:.1} ULP, \
         {} elements, {:.1} ms (reference {:.1} ms)\n{}",
        report.op,
        gpu.info(),
        prepared.case.note,
        report.label,
        report.size,
        report.profile,
        report.status,
        report.worst,
        report.nmse,
        report.ulp,
        report.elements,
        report.millis,
        report.reference_millis,
        report.faults.iter().map(|f| format!("fault: {f}\n")).collect::<String>(),
    );
    (text, report.status != Status::Failed)
}

/// Replays one case: everything about it in words, and whether it passed.
///
/// # Errors
/// If there is no op of that name.
pub fn repro(gpu: &Gpu, op: &str, seed: u64) -> Result<(String, bool), String> {
    macro_rules! find {
        ($($op:ty),*) => {$(
            if op == <$op as gatefold_core::Op>::NAME {
                return Ok(tell::<$op>(gpu, seed));
            }
        )*};
    }
    for_each_op!(find);
    Err(format!("op: expected one of {}, got {op}", op_names().join(", ")))
}
