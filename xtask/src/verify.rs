//! The checker's smaller commands: repro, vectors, mutants. The work is done by the test harness.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use gatefold_tests::conformance as harness;
use gatefold_tests::executor::Executor;
use gatefold_tests::mutants::{self, Fate, Mutant, Proof, planted};
use gatefold_tests::stacks::{self, Stack};
use gatefold_tests::vectors::check_folders;
use gatefold_wgpu::{Gpu, Options, RunError};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;

use crate::shell;

/// Exit status of a process that finds no adapter: a driver without its hardware is not a failure of ours.
pub(crate) const NO_ADAPTER: u8 = 3;

/// How commands open an adapter: what its probe and self-tests found is kept for the next command.
pub(crate) fn options(adapter: Option<&str>) -> Options {
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

/// The stack of that name.
pub(crate) fn stack(name: &str) -> Result<Stack> {
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
    /// Instead: so many faults at places drawn from all kernels, in the interpreter
    #[arg(long, value_name = "COUNT")]
    planted: Option<usize>,
    /// Seed of the draw
    #[arg(long, default_value_t = 1, requires = "planted")]
    seed: u64,
}

impl Mutants {
    pub(crate) fn run(&self) -> Result<u8> {
        let clock = Instant::now();
        let gpu = open(self.adapter.as_deref())?;
        if let Some(count) = self.planted {
            return self.plant(&gpu, count);
        }
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

    /// Faults that nobody chose. Survivors are for people to look at: a place that no case reaches, or a change that is none.
    fn plant(&self, gpu: &Gpu, count: usize) -> Result<u8> {
        let clock = Instant::now();
        let proof = Proof::of_planted(gpu);
        let all = planted::all_in(&shell::root().join("shaders/src")).context("shaders/src")?;
        let named: Vec<_> = all.into_iter().filter(|p| p.file.contains(&self.filter)).collect();
        let places = named.len();
        let drawn = planted::draw(named, count, self.seed);
        let bar = progress(drawn.len() as u64, "planted");
        let fates: Vec<(Mutant, Fate)> = drawn
            .par_iter()
            .map(|planted| {
                let mutant = planted.mutant();
                let fate = proof.fate(&mutant).map_err(|e| anyhow!("{}: {e}", mutant.name))?;
                bar.inc(1);
                Ok((mutant, fate))
            })
            .collect::<Result<_>>()?;
        bar.finish_and_clear();
        let [mut rejected, mut survived, mut invalid, mut unreached] = [0; 4];
        for (mutant, fate) in &fates {
            match fate {
                Fate::Rejected(how) => {
                    rejected += 1;
                    println!("rejected  {}: {} - {how}", mutant.name, mutant.fault);
                }
                Fate::Survived(cases) => {
                    survived += 1;
                    println!("SURVIVED  {}: {} - {cases} cases", mutant.name, mutant.fault);
                }
                Fate::Invalid(_) => invalid += 1,
                Fate::Unreached => {
                    unreached += 1;
                    println!("unreached {}: {}", mutant.name, mutant.fault);
                }
            }
        }
        let share = 100.0 * f64::from(rejected) / f64::from((rejected + survived).max(1));
        println!(
            "planted: {rejected} rejected, {survived} survived ({share:.1} % rejected), {unreached} in files that no small case reaches, {invalid} no WGSL; \
             of {places} places, {:.0} s",
            clock.elapsed().as_secs_f64()
        );
        Ok(0)
    }
}
