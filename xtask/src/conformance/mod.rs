//! `cargo xtask conformance`: every op × case on an adapter or a stack, in this process or shared out to several.

mod jobs;
mod journal;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use gatefold_tests::conformance::{self as harness, Moment};
use gatefold_tests::executor::Executor;
use gatefold_tests::report::Report;
use gatefold_tests::run_case::Status;
use gatefold_tests::stacks::{self, Runtime, Stack};
use gatefold_wgpu::{Gpu, Options, RunError};

use crate::verify::{NO_ADAPTER, options, progress, stack};
use crate::{evidence, setup};
use journal::Journal;

/// Exit status of a process whose device is lost; what it ran is in its journal.
const LOST: u8 = 4;

/// `cargo xtask conformance`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Conformance {
    /// Index of the adapter or part of its name
    #[arg(long, conflicts_with_all = ["all_adapters", "stack"])]
    adapter: Option<String>,
    /// wgpu on every driver that is installed
    #[arg(long, conflicts_with = "stack")]
    all_adapters: bool,
    /// A stack by its name (lavapipe, swiftshader, dawn-swiftshader, mesa-26, …), all that `cargo xtask test` runs (default), or all
    #[arg(long)]
    stack: Option<String>,
    /// Only this op
    #[arg(long)]
    op: Option<String>,
    /// Thirty times as many cases
    #[arg(long)]
    full: bool,
    /// Cases of all ops together (default: 20,000)
    #[arg(long)]
    cases: Option<u64>,
    /// Run one in so many of the cases that have kernels of their own, and vary those the more: where compiling takes long
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    thin: Option<u64>,
    /// First seed of each op; the planned edge cases begin at 0
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Share the cases out to so many processes at a time (default: one, or as many as there are cores for stacks)
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Writes the report here: a list of reports, if there are several stacks
    #[arg(long)]
    json: Option<PathBuf>,
    /// Writes the report here as a page
    #[arg(long)]
    html: Option<PathBuf>,
    /// Keep runtime checks in every kernel, also where the plan has proven that they catch nothing
    #[arg(long)]
    checked: bool,
    /// Set for the processes of --jobs: this is one, runs part K of N and writes what it ran to --json
    #[arg(long, hide = true, num_args = 2, value_names = ["K", "N"], requires = "json")]
    part: Option<Vec<u64>>,
}

impl Conformance {
    pub(crate) fn run(&self) -> Result<u8> {
        if let Some(op) = &self.op
            && !harness::op_names().contains(&op.as_str())
        {
            bail!("--op: expected one of {}, got {op}", harness::op_names().join(", "));
        }
        if let Some(part) = &self.part {
            return self.sub_process([part[0], part[1]]);
        }
        match (self.stacks()?, self.jobs) {
            (None, None | Some(1)) => self.here(),
            (None, _) => self.shared_out(&[None]),
            (Some(stacks), _) => self.shared_out(&stacks.into_iter().map(Some).collect::<Vec<_>>()),
        }
    }

    /// The stacks asked for, if stacks were.
    fn stacks(&self) -> Result<Option<Vec<Stack>>> {
        let installed = || stacks::installed().into_iter();
        let plain = |s: &Stack| s.runtime == Runtime::Wgpu && s.by_default && !s.strict;
        Ok(match self.stack.as_deref() {
            Some("all") => Some(installed().collect()),
            Some("default") => Some(installed().filter(|s| s.by_default).collect()),
            Some(name) => Some(vec![stack(name)?]),
            None if self.all_adapters => Some(installed().filter(plain).collect()),
            None => None,
        })
    }

    /// What to run on a stack or an adapter.
    fn wanted(&self, stack: Option<&Stack>) -> harness::Options {
        let share = stack.filter(|s| s.one_in > 1).map(|s| harness::CASES.div_ceil(s.one_in));
        harness::Options {
            op: self.op.clone(),
            full: self.full,
            cases: self.cases.or(share),
            thinned: match self.thin {
                Some(every) => Some(harness::Thinned { attention: every, others: every, rest: 0 }),
                None => stack.and_then(|s| s.thinned).filter(|_| !self.full),
            },
            first_seed: stack.filter(|_| self.seed == 0).map_or(self.seed, Stack::first_seed),
            ..harness::Options::default()
        }
    }

    fn device(&self) -> Options {
        Options { checked: self.checked, ..options(self.adapter.as_deref()) }
    }

    /// In this process, with a bar.
    fn here(&self) -> Result<u8> {
        let (gpu, wanted) = (Gpu::open(&self.device())?, self.wanted(None));
        let bar = progress(harness::count(&wanted), "conformance");
        let report = harness::conformance(&gpu, &wanted, &mut |moment| {
            let Moment::Done(case) = moment else { return };
            bar.inc(1);
            bar.set_message(format!("{} {}", case.op, case.label));
            if case.status == Status::Failed {
                bar.suspend(|| println!("FAILED {} seed {}: {}", case.op, case.seed, case.faults.join("; ")));
            }
        });
        bar.finish_and_clear();
        println!("{report}");
        self.write(std::slice::from_ref(&report), false)?;
        Ok(u8::from(!report.passed()))
    }

    /// One of the processes of [`shared_out`](Self::shared_out).
    fn sub_process(&self, part: [u64; 2]) -> Result<u8> {
        let (stack, device) = (self.stack.as_deref().map(stack).transpose()?, self.device());
        let opened: Result<Box<dyn Executor>, RunError> = match &stack {
            Some(stack) => stack.open(&device),
            None => Gpu::open(&device).map(|gpu| Box::new(gpu) as Box<dyn Executor>),
        };
        let gpu = match opened {
            Ok(gpu) => gpu,
            Err(e @ RunError::NoAdapter { .. }) => {
                println!("{e}");
                return Ok(NO_ADAPTER);
            }
            Err(e) => return Err(e.into()),
        };
        if stack.as_ref().is_some_and(|s| s.matrix) && gpu.limits().matrix.is_none() {
            bail!("no matrix units: {}", gpu.probe().matrix);
        }
        let path = self.json.as_deref().context("--part: needs --json")?;
        let notes = jobs::journal_of(path);
        let known = journal::read(&notes)?.0;
        let wanted = harness::Options { part: Some(part), known, ..self.wanted(stack.as_ref()) };
        let (mut journal, mut unwritten) = (Journal::open(&notes)?, None);
        let ran = harness::part(gpu.as_ref(), &wanted, &mut |moment| {
            unwritten = unwritten.take().or(journal.note(moment).err());
            if matches!(moment, Moment::Done(case) if case.lost) {
                // A new process opens the device anew.
                std::process::exit(LOST.into());
            }
        });
        unwritten.map_or(Ok(()), Err)?;
        std::fs::write(path, serde_json::to_string(&ran)?).with_context(|| format!("writing {}", path.display()))?;
        Ok(0)
    }

    /// In several processes a stack: the Vulkan loader reads its environment once, and a driver that crashes takes only its own process along.
    fn shared_out(&self, stacks: &[Option<Stack>]) -> Result<u8> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (mut reports, mut failed) = (Vec::new(), 0);
        let all = jobs::run(self, stacks, self.jobs.map_or(cores, usize::from))?;
        all.iter().filter(|ran| !ran.absent).for_each(|ran| println!("{}", ran.report));
        for jobs::Ran { report, absent } in all {
            let name = if report.stack.is_empty() { "adapter" } else { &report.stack };
            let sum = |of: fn(&gatefold_tests::report::OpReport) -> usize| report.ops.iter().map(of).sum::<usize>();
            if absent {
                println!("conformance: {name}: NOT RUN: what it needs is not here");
                continue;
            }
            // A process that said nothing is a failure, also if it had many cases.
            let wrong = report.failures.len() + report.crashes.len();
            let (passed, missing, seconds) = (sum(|o| o.passed), sum(|o| o.unsupported), report.seconds);
            println!("conformance: {name}: {passed} passed, {wrong} failed, {missing} not supported, {seconds:.0} s");
            failed += usize::from(!report.passed());
            reports.push(report);
        }
        self.write(&reports, stacks.len() > 1)?;
        if reports.is_empty() {
            bail!("no stack has an adapter. {}", setup::advice());
        }
        Ok(u8::from(failed > 0))
    }

    /// The reports, as a list if `several` were asked for.
    fn write(&self, reports: &[Report], several: bool) -> Result<()> {
        if let Some(path) = &self.json {
            let text = match reports {
                [one] if !several => serde_json::to_string_pretty(one)?,
                all => serde_json::to_string_pretty(all)?,
            };
            std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
        }
        if let Some(path) = &self.html {
            evidence::write_page(reports, path)?;
        }
        Ok(())
    }
}
