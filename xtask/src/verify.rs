//! The checker's commands: conformance, repro, vectors, mutants. The work is done by the test harness.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use gatefold_tests::conformance as harness;
use gatefold_tests::executor::Executor;
use gatefold_tests::mutants::{self, Mutant, Proof};
use gatefold_tests::report::Report;
use gatefold_tests::run_case::Status;
use gatefold_tests::stacks::{self, Runtime, Stack};
use gatefold_tests::vectors::check_folders;
use gatefold_wgpu::{Gpu, Options, RunError};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{evidence, shell};

/// Exit status of a process that finds no adapter: a driver without its hardware is not a failure of ours.
pub(crate) const NO_ADAPTER: u8 = 3;

/// How commands open an adapter: what its probe and self-tests found is kept for the next command.
fn options(adapter: Option<&str>) -> Options {
    let verdict_file = Some(shell::root().join("target/verdicts.json"));
    Options { adapter: adapter.map(Into::into), verdict_file, ..Options::default() }
}

/// Opens the adapter of that index or name, or the best.
pub(crate) fn open(adapter: Option<&str>) -> Result<Gpu> {
    Ok(Gpu::open(&options(adapter))?)
}

/// A progress bar with an estimate, on terminals only.
pub(crate) fn progress(length: u64, what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len}, {elapsed} of about {duration}  {msg}");
    let bar = ProgressBar::new(length).with_prefix(what.to_string());
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// `cargo xtask conformance`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Conformance {
    /// Index of the adapter or part of its name
    #[arg(long, conflicts_with_all = ["all_adapters", "stack"])]
    adapter: Option<String>,
    /// wgpu on every driver that is installed, each in a process of its own
    #[arg(long, conflicts_with = "stack")]
    all_adapters: bool,
    /// A stack by its name, or all that are installed, each in a process of its own: lavapipe, swiftshader, dawn-swiftshader, mesa-26, …
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
    /// First seed of each op; the planned edge cases begin at 0
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Writes the report here
    #[arg(long)]
    json: Option<PathBuf>,
    /// Writes the report here as a page
    #[arg(long)]
    html: Option<PathBuf>,
    /// Keep runtime checks in every kernel, also where the plan has proven that they catch nothing
    #[arg(long)]
    checked: bool,
    /// Set for the processes of --stack: this is one, and no adapter is status 3 instead of an error
    #[arg(long, hide = true)]
    sub_process: bool,
}

impl Conformance {
    pub(crate) fn run(&self) -> Result<u8> {
        if let Some(op) = &self.op
            && !harness::op_names().contains(&op.as_str())
        {
            bail!("--op: expected one of {}, got {op}", harness::op_names().join(", "));
        }
        let options = Options { checked: self.checked, ..options(self.adapter.as_deref()) };
        match self.stack.as_deref() {
            Some(name) if self.sub_process => self.in_stack(&stack(name)?, &options),
            Some("all") => self.each(&stacks::installed()),
            Some(name) => self.each(&[stack(name)?]),
            None if self.all_adapters => {
                let plain = |s: &Stack| s.runtime == Runtime::Wgpu && s.by_default && !s.strict;
                self.each(&stacks::installed().into_iter().filter(plain).collect::<Vec<_>>())
            }
            None => self.on(&Gpu::open(&options)?, (self.cases, None), self.seed),
        }
    }

    /// In a process of a stack.
    fn in_stack(&self, stack: &Stack, options: &Options) -> Result<u8> {
        let share = (stack.one_in > 1).then(|| harness::CASES.div_ceil(stack.one_in));
        let seed = if self.seed == 0 { stack.first_seed() } else { self.seed };
        match stack.open(options) {
            Ok(gpu) if stack.matrix && gpu.limits().matrix.is_none() => {
                bail!("stack {}: no matrix units: {}", stack.name, gpu.probe().matrix)
            }
            Ok(gpu) => self.on(gpu.as_ref(), (self.cases.or(share), stack.thinned.filter(|_| !self.full)), seed),
            Err(e @ RunError::NoAdapter { .. }) => {
                println!("{e}");
                Ok(NO_ADAPTER)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// `cases`: how many, and which of those with kernels of their own.
    fn on(&self, gpu: &dyn Executor, cases: (Option<u64>, Option<[u64; 2]>), first_seed: u64) -> Result<u8> {
        let (op, full, (cases, thinned)) = (self.op.clone(), self.full, cases);
        let options = harness::Options { op, full, cases, thinned, first_seed, gate: None };
        let bar = progress(harness::count(&options), "conformance");
        let report = harness::conformance(gpu, &options, &mut |case| {
            bar.inc(1);
            bar.set_message(format!("{} {}", case.op, case.label));
            if case.status == Status::Failed {
                bar.suspend(|| println!("FAILED {} seed {}: {}", case.op, case.seed, case.faults.join("; ")));
            }
        });
        bar.finish_and_clear();
        println!("{report}");
        if let Some(path) = &self.json {
            let text = serde_json::to_string_pretty(&report).context("writing the report")?;
            std::fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
        }
        if let Some(path) = &self.html {
            evidence::write_page(std::slice::from_ref(&report), path)?;
        }
        Ok(u8::from(!report.passed()))
    }

    /// One process per stack: the Vulkan loader reads its environment once, and a driver that crashes takes only its own process along.
    fn each(&self, stacks: &[Stack]) -> Result<u8> {
        let mut reports: Vec<Report> = Vec::new();
        let mut failed = 0;
        for stack in stacks {
            let json = std::env::temp_dir().join(format!("gatefold_{}_{}.json", stack.name, std::process::id()));
            println!("stack {}", stack.name);
            let status = self.command(stack, &json)?.status().context("starting this program again")?;
            match status.code() {
                Some(code) if code == i32::from(NO_ADAPTER) && !stack.must_open => {
                    println!("no adapter: what it needs is not here");
                }
                Some(0) => {}
                _ => failed += 1,
            }
            if let Ok(text) = std::fs::read_to_string(&json) {
                reports.push(serde_json::from_str(&text).context("reading the report of a stack")?);
                // It was a message between two processes.
                let _ = std::fs::remove_file(&json);
            }
        }
        if let Some(path) = &self.json {
            std::fs::write(path, serde_json::to_string_pretty(&reports)?)
                .with_context(|| format!("writing {}", path.display()))?;
        }
        if let Some(path) = &self.html {
            evidence::write_page(&reports, path)?;
        }
        let ran = reports.len();
        println!("conformance: {ran} stacks, {failed} failed");
        if ran == 0 {
            bail!("no stack has an adapter. {}", crate::setup::advice());
        }
        Ok(u8::from(failed > 0))
    }

    /// The same run on `stack`.
    fn command(&self, stack: &Stack, json: &Path) -> Result<std::process::Command> {
        let mut command = shell::again_on(stack)?;
        command.args(["conformance", "--sub-process", "--stack", &stack.name]);
        command.args(["--seed", &self.seed.to_string(), "--json"]).arg(json);
        if self.checked {
            command.arg("--checked");
        }
        if let Some(op) = &self.op {
            command.args(["--op", op]);
        }
        if let Some(cases) = self.cases {
            command.args(["--cases", &cases.to_string()]);
        }
        if self.full {
            command.arg("--full");
        }
        Ok(command)
    }
}

/// The stack of that name.
fn stack(name: &str) -> Result<Stack> {
    stacks::named(name).map_err(|e| anyhow!("--{e}"))
}

/// Whether an error says that there is no adapter.
pub(crate) fn is_no_adapter(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<RunError>(), Some(RunError::NoAdapter { .. }))
}

/// `cargo xtask repro`.
#[derive(Debug, clap::Args)]
pub(crate) struct Repro {
    /// Op name
    op: String,
    /// Seed, as a report names it
    seed: u64,
    /// Index of the adapter or part of its name
    #[arg(long, conflicts_with = "stack")]
    adapter: Option<String>,
    /// On this stack
    #[arg(long)]
    stack: Option<String>,
    /// Set for the process of --stack
    #[arg(long, hide = true)]
    sub_process: bool,
}

impl Repro {
    pub(crate) fn run(&self) -> Result<u8> {
        let gpu: Box<dyn Executor> = match &self.stack {
            Some(name) if self.sub_process => stack(name)?.open(&Options::default())?,
            Some(name) => {
                let mut command = shell::again_on(&stack(name)?)?;
                command.args(["repro", "--sub-process", "--stack", name, &self.op, &self.seed.to_string()]);
                return Ok(u8::from(!command.status().context("starting this program again")?.success()));
            }
            None => Box::new(open(self.adapter.as_deref())?),
        };
        let (text, passed) = harness::repro(gpu.as_ref(), &self.op, self.seed).map_err(|e| anyhow!(e))?;
        println!("{text}");
        Ok(u8::from(!passed))
    }
}

/// `cargo xtask vectors`.
#[derive(Debug, clap::Args)]
pub(crate) struct Vectors {
    /// Folders or files; without any, those of this repository and `../shared/vectors` where it exists
    dirs: Vec<PathBuf>,
    /// Index of the adapter or part of its name
    #[arg(long)]
    adapter: Option<String>,
    /// Stores what the adapter gave in this folder, as safetensors
    #[arg(long)]
    write: Option<PathBuf>,
    /// Print failures and the sum only
    #[arg(long)]
    quiet: bool,
}

/// Folders with vectors that there are on this machine.
pub(crate) fn vector_folders() -> Vec<PathBuf> {
    let root = shell::root();
    let all = [root.join("tests/golden"), root.join("../shared/vectors")];
    all.into_iter().filter(|p| p.is_dir()).collect()
}

impl Vectors {
    pub(crate) fn run(&self) -> Result<u8> {
        let gpu = open(self.adapter.as_deref())?;
        let dirs = if self.dirs.is_empty() { vector_folders() } else { self.dirs.clone() };
        let bar = progress(0, "vectors");
        let outcomes = check_folders(&dirs, Some(&gpu), self.write.as_deref(), &mut |path| {
            bar.inc_length(1);
            bar.inc(1);
            bar.set_message(path.display().to_string());
        });
        bar.finish_and_clear();
        let outcomes = outcomes.map_err(|e| anyhow!(e))?;
        for line in
            outcomes.to_string().lines().filter(|l| !self.quiet || l.starts_with("FAIL") || l.starts_with("vectors:"))
        {
            println!("{line}");
        }
        Ok(u8::from(!outcomes.passed()))
    }
}

/// `cargo xtask mutants`.
#[derive(Debug, clap::Args)]
pub(crate) struct Mutants {
    /// Only those whose name contains this
    #[arg(default_value = "")]
    filter: String,
    /// Index of the adapter or part of its name
    #[arg(long)]
    adapter: Option<String>,
}

impl Mutants {
    pub(crate) fn run(&self) -> Result<u8> {
        let clock = Instant::now();
        let gpu = open(self.adapter.as_deref())?;
        let all = mutants::all();
        let proof = Proof::new(&gpu);
        let named = all.iter().filter(|m| m.name.contains(&self.filter));
        let (wanted, others): (Vec<&Mutant>, Vec<&Mutant>) = named.partition(|m| proof.can_run(m));
        if wanted.len() + others.len() == 0 {
            bail!("no mutant has \"{}\" in its name", self.filter);
        }
        others.iter().for_each(|m| println!("not run   {}: matrix units: {}", m.name, gpu.probe().matrix));
        let mut survivors = 0;
        for mutant in &wanted {
            match proof.run(mutant) {
                Ok(how) => println!("rejected  {}: {} - {how}", mutant.name, mutant.fault),
                Err(why) => {
                    survivors += 1;
                    println!("SURVIVED  {}: {why}", mutant.name);
                }
            }
        }
        let seconds = clock.elapsed().as_secs_f64();
        println!("mutants: {} rejected, {survivors} survived, {seconds:.0} s", wanted.len() - survivors);
        Ok(u8::from(survivors > 0))
    }
}
