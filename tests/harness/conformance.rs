//! Every op × case on one adapter. The reference works in threads of its own while the adapter computes.

use std::collections::HashSet;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Instant, SystemTime};

use gatefold_core::for_each_op;
use gatefold_cpu_ref::Reference;
use gatefold_cpu_ref::case::VARIED;
use gatefold_shaders::Kernels;
use gatefold_wgpu::AdapterKind;
use rayon::prelude::*;

use crate::executor::Executor;
use crate::report::{Part, Report};
use crate::run_case::{self, CaseReport, Prepared, Status, run_prepared};

/// Hard limit: an error above its bound is wrong on every adapter.
pub const GATE: f64 = 1.0;

/// Least limit on software drivers, whose arithmetic is exact where the specification lets a GPU be sloppy.
pub const GATE_CPU: f64 = 0.25;

/// Cases of a default run, all ops together.
pub const CASES: u64 = 20_000;

/// Of these, planned edges and random draws, each with kernels of its own; the others vary the light ones among them ([`VARIED`]).
pub const DRAWN: u64 = 7_500;

/// Cases that a thinned run keeps: on lavapipe, files of WGSL would be linked in no other of its cases (`tests/default_run.rs` looks).
const KEPT: [(&str, u64); 19] = [
    ("attention", 516),
    ("attention", 525),
    ("attention", 564),
    ("attention", 577),
    ("attention", 604),
    ("attention", 609),
    ("attention", 719),
    ("attention", 758),
    ("attention_backward", 521),
    ("attention", 318),
    ("attention", 523),
    ("attention", 616),
    ("attention", 753),
    ("attention", 777),
    ("cache_append", 36),
    ("moe", 6),
    ("router_loss", 7),
    ("routing_plan", 100),
    ("top_k_gate", 118),
];

/// The ops with the longest kernels.
const ATTENTION: [&str; 2] = ["attention", "attention_backward"];

/// A run with `full`: this many times the cases, and this many times those with kernels of their own.
const FULL: [u64; 2] = [30, 10];

/// Which of the cases with kernels of their own run, where compiling takes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thinned {
    /// One in so many of attention's and its gradient's, whose kernels are the longest,
    pub attention: u64,
    /// one in so many of the other ops',
    pub others: u64,
    /// namely those whose seed leaves this rest.
    pub rest: u64,
}

impl Thinned {
    /// Whether case `seed` of an op is left out.
    fn leaves_out(&self, op: &str, seed: u64) -> bool {
        let every = if ATTENTION.contains(&op) { self.attention } else { self.others };
        seed % every != self.rest % every
    }
}

/// What to run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Only the op of this name.
    pub op: Option<String>,
    /// Thirty times as many cases.
    pub full: bool,
    /// Cases of all ops together; [`CASES`] if not given.
    pub cases: Option<u64>,
    /// Which of the cases with kernels of their own run; varied ones take the place of the others. Of a run from the first seed on only.
    pub thinned: Option<Thinned>,
    /// First seed of each op. The planned edge cases begin at 0.
    pub first_seed: u64,
    /// Cases that have been run already, as after a crash.
    pub known: Vec<CaseReport>,
    /// Of all this, part so many of so many, counted from 0: for one of several processes.
    pub part: Option<[u64; 2]>,
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
fn prepare<O: Reference>(seeds: Vec<u64>, work: impl FnOnce(Receiver<Prepared<O>>)) {
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

/// What a run tells of as it happens.
#[derive(Debug, Clone, Copy)]
pub enum Moment<'a> {
    /// A case of this op and seed begins: if nothing follows, it ended the process.
    Begun(&'a str, u64),
    /// Its report.
    Done(&'a CaseReport),
}

/// The cases `seeds` of one op, by seed. `progress` is told of each.
pub fn run_op<O: Reference + Kernels>(
    gpu: &dyn Executor,
    seeds: impl IntoIterator<Item = u64>,
    gate: f64,
    progress: &mut dyn FnMut(Moment),
) -> Vec<CaseReport> {
    let mut reports = Vec::new();
    prepare::<O>(seeds.into_iter().collect(), |cases| {
        for prepared in cases {
            progress(Moment::Begun(O::NAME, prepared.case.seed));
            let report = run_prepared(gpu, &prepared, gate);
            progress(Moment::Done(&report));
            reports.push(report);
        }
    });
    by_seed(&mut reports);
    reports
}

/// Not a closure of a generic function, which would be compiled for each op.
fn by_seed(reports: &mut [CaseReport]) {
    reports.sort_by_key(|r| r.seed);
}

/// Cases of one op: its name, seeds of those with kernels of their own, how many varied ones, and those that have been run already.
struct Wanted {
    name: &'static str,
    seeds: Vec<u64>,
    varied: u64,
    known: Vec<CaseReport>,
}

/// Cases that are tried where none of those chosen can be varied.
const MOST_OTHERS: usize = 12;

/// The cases with kernels of their own, then the varied ones: those of the first that are light and ran, over and over with other contents and
/// sizes.
fn run_and_vary<O: Reference + Kernels>(
    gpu: &dyn Executor,
    wanted: Wanted,
    gate: f64,
    progress: &mut dyn FnMut(Moment),
) -> Vec<CaseReport> {
    let Wanted { seeds, varied, known: mut reports, .. } = wanted;
    let done: HashSet<u64> = reports.iter().map(|r| r.seed).collect();
    let left = |seed: &u64| !done.contains(seed);
    reports.extend(run_op::<O>(gpu, seeds.into_iter().filter(left), gate, progress));
    by_seed(&mut reports);
    let can_vary = |r: &CaseReport| r.status == Status::Passed && r.seed < O::PLANNED && r.light;
    let mut varied = varied;
    // If none of those chosen can be varied, the first of the others that can.
    let met: HashSet<u64> = reports.iter().map(|r| r.seed).collect();
    let mut others = (0..O::PLANNED).filter(|seed| !met.contains(seed)).take(MOST_OTHERS);
    while varied > 0 && !reports.iter().any(can_vary) {
        let Some(seed) = others.next() else { break };
        reports.extend(run_op::<O>(gpu, [seed], gate, progress));
        varied -= 1;
    }
    let light: Vec<u64> = reports.iter().filter(|r| can_vary(r)).map(|r| r.seed).collect();
    let again = (1..).flat_map(|round| light.iter().map(move |seed| round * VARIED + seed));
    let count = usize::try_from(varied).unwrap_or(usize::MAX);
    let again = again.take(if light.is_empty() { 0 } else { count }).filter(left);
    reports.extend(run_op::<O>(gpu, again, gate, progress));
    reports
}

/// The gate of an adapter. On a software driver it is [`GATE_CPU`], or the share of its allowance that the driver's worst builtin uses (by
/// the probe): an element that hangs on one `exp` or `log` cannot be closer to exact than that builtin.
pub fn gate(gpu: &dyn Executor) -> f64 {
    let p = gpu.probe();
    let builtins = [p.exp, p.exp2, p.log, p.divide, p.inverse_sqrt].into_iter().fold(GATE_CPU, f64::max);
    if gpu.info().kind == AdapterKind::Cpu { builtins.min(GATE) } else { GATE }
}

/// So many planned cases of an op for a quick look, evenly spread, or all that it has.
pub fn some_planned<O: Reference>(count: u64) -> impl Iterator<Item = u64> {
    let count = count.min(O::PLANNED);
    (0..count).map(move |at| at * O::PLANNED / count)
}

/// Cases that [`conformance`] will run, for a progress bar.
pub fn count(options: &Options) -> u64 {
    planned(options).iter().map(|w| w.seeds.len() as u64 + w.varied).sum()
}

/// Seeds of the cases with kernels of their own that [`conformance`] will run, by op.
pub fn own_seeds(options: &Options) -> Vec<(&'static str, Vec<u64>)> {
    planned(options).into_iter().map(|wanted| (wanted.name, wanted.seeds)).collect()
}

/// What is wanted of each op asked for. Only a run from the first seed on varies.
fn planned(options: &Options) -> Vec<Wanted> {
    let [all, own] = if options.full { FULL } else { [1, 1] };
    let total = options.cases.unwrap_or(CASES) * all;
    let drawn = if options.first_seed > 0 { total } else { total.min(DRAWN * own) };
    let is_wanted = |name: &str| options.op.as_deref().is_none_or(|o| o == name);
    let both = shares(drawn).into_iter().zip(shares(total - drawn));
    let thinned = options.thinned.filter(|_| options.first_seed == 0);
    let is_left_out =
        |name: &str, seed: u64| thinned.is_some_and(|t| t.leaves_out(name, seed)) && !KEPT.contains(&(name, seed));
    let [part, parts] = options.part.unwrap_or([0, 1]);
    let of_op = |((name, drawn), (_, varied)): ((&'static str, u64), (_, u64))| {
        let first = options.first_seed;
        let mut seeds: Vec<u64> = (first..first + drawn).filter(|&seed| !is_left_out(name, seed)).collect();
        let mut varied = varied + drawn - seeds.len() as u64;
        seeds = (0..).zip(seeds).filter(|(at, _)| at % parts == part).map(|(_, seed)| seed).collect();
        varied = varied / parts + u64::from(part < varied % parts);
        let known = options.known.iter().filter(|case| case.op == name).cloned().collect();
        Wanted { name, seeds, varied, known }
    };
    both.map(of_op).filter(|w| is_wanted(w.name)).collect()
}

/// What the device has beyond WebGPU's defaults.
fn features(gpu: &dyn Executor) -> Vec<String> {
    let (info, limits) = (gpu.info(), gpu.limits());
    let subgroups = info.subgroup.map(|(least, most)| format!("subgroups of {least} to {most}"));
    let planned = limits.subgroup.map(|n| format!("plans use subgroups of {n}"));
    let f16 = info.f16.then(|| "f16 in storage".to_string());
    let matrix = limits.matrix.map(|m| format!("matrix units of {0} × {0}", m.edge));
    let buffers = format!("bindings of {} MiB", limits.binding_bytes >> 20);
    [subgroups, planned, f16, matrix, Some(buffers)].into_iter().flatten().collect()
}

/// Runs the cases of every op asked for. `progress` is told each case's report as it comes.
pub fn conformance(gpu: &dyn Executor, options: &Options, progress: &mut dyn FnMut(Moment)) -> Report {
    Report::joined(vec![part(gpu, options, progress)])
}

/// As [`conformance`], to be joined with what other processes ran.
pub fn part(gpu: &dyn Executor, options: &Options, progress: &mut dyn FnMut(Moment)) -> Part {
    let clock = Instant::now();
    let gate = options.gate.unwrap_or_else(|| gate(gpu));
    let mut report = Report {
        adapter: gpu.info().to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        unix_time: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |t| t.as_secs()),
        features: features(gpu),
        probe: gpu.probe().to_string(),
        first_seed: options.first_seed,
        gate,
        ..Report::default()
    };
    let cases = planned(options).into_iter().flat_map(|wanted| run_named(gpu, wanted, gate, progress)).collect();
    report.seconds = clock.elapsed().as_secs_f64();
    Part { report, cases }
}

/// Parts, and so processes, that attention's cases are shared out to at least: what drivers keep of long kernels took 9 GB of one process.
const ATTENTION_PARTS: u64 = 3;

/// How many parts each op is worth if `jobs` processes share all cases: some three a process if all were alike, so that none waits long for
/// the last. Ops that take longest come first.
pub fn parts(jobs: usize) -> Vec<(&'static str, u64)> {
    let parts = 3 * jobs as u64;
    let least = |op| if ATTENTION.contains(&op) { ATTENTION_PARTS } else { 1 };
    let mut all: Vec<_> =
        shares(DRAWN).into_iter().map(|(op, n)| (op, (n * parts / DRAWN).max(least(op)), n)).collect();
    // A gradient has several kernels for an operator's one.
    all.sort_by_key(|&(op, parts, n)| std::cmp::Reverse((op.ends_with("backward"), n / parts)));
    all.into_iter().map(|(op, parts, _)| (op, parts)).collect()
}

/// The cases of the op of that name; none if there is no such op.
fn run_named(gpu: &dyn Executor, wanted: Wanted, gate: f64, progress: &mut dyn FnMut(Moment)) -> Vec<CaseReport> {
    macro_rules! find {
        ($($op:ty),*) => {$(
            if wanted.name == <$op as gatefold_core::Op>::NAME {
                return run_and_vary::<$op>(gpu, wanted, gate, progress);
            }
        )*};
    }
    for_each_op!(find);
    Vec::new()
}

/// The report of a case that ended its process.
///
/// # Errors
/// If there is no op of that name.
pub fn crashed(op: &str, seed: u64, how: &str) -> Result<CaseReport, String> {
    macro_rules! find {
        ($($op:ty),*) => {$(
            if op == <$op as gatefold_core::Op>::NAME {
                return Ok(run_case::crashed::<$op>(seed, how.into()));
            }
        )*};
    }
    for_each_op!(find);
    Err(format!("op: expected one of {}, got {op}", op_names().join(", ")))
}

/// Names of all ops.
pub fn op_names() -> Vec<&'static str> {
    shares(0).into_iter().map(|(name, _)| name).collect()
}

/// What one case is and what came out, for people.
fn tell<O: Reference + Kernels>(gpu: &dyn Executor, seed: u64) -> (String, bool) {
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
pub fn repro(gpu: &dyn Executor, op: &str, seed: u64) -> Result<(String, bool), String> {
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
