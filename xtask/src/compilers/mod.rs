//! `cargo xtask compilers`: what compilers other than naga say about the kernels. Tint reads their WGSL, as a browser does; `spirv-val`, DXC
//! and, as far as it goes without an Apple machine, Metal's language stand for what drivers get from naga.

mod dxc;
mod install;
mod list;
mod planted;
mod remote;
mod spirv_val;
mod tint;
mod worker;
mod written;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use gatefold_shaders::Step;
use indicatif::{ProgressBar, ProgressStyle};

use crate::shell;
use worker::{KINDS, Kind, Said, Tools, Verdict};

/// Of how many variants the suite asks about one. A variant costs Tint a hundredth of a second, spirv-val a tenth, DXC up to three: it is
/// asked about little more than one variant of each kernel.
fn share_of(kind: Kind) -> u64 {
    match kind {
        Kind::Tint | Kind::Msl => 10,
        Kind::SpirvVal => 60,
        Kind::Dxc => 1000,
    }
}

/// After so many variants a line says how far it is, where no bar is shown.
const TOLD: usize = 250;

/// `cargo xtask compilers`.
#[derive(Debug, clap::Args)]
pub(crate) struct Compilers {
    /// Only variants whose name contains this, all of them
    name: Option<String>,
    /// Every variant that the tests reach (without it and NAME shares of them, chosen by name, with every kernel in each)
    #[arg(long)]
    every: bool,
    /// Only these compilers
    #[arg(long, value_delimiter = ',')]
    only: Vec<Kind>,
    /// First install the compilers that are missing (Debian's packages and npm's)
    #[arg(long)]
    install: bool,
    /// Lists the variants
    #[arg(long)]
    list: bool,
}

/// What one compiler said.
#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
    /// Variants that it was not asked about, by reason.
    not_checked: BTreeMap<&'static str, Vec<String>>,
    /// All workers' time.
    seconds: f64,
    slowest: (f64, String),
}

impl Tally {
    fn add(&mut self, said: Said) {
        self.seconds += said.seconds;
        if said.seconds > self.slowest.0 {
            self.slowest = (said.seconds, said.variant.clone());
        }
        match said.verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed(_) => self.failed += 1,
            Verdict::NotChecked(why) => self.not_checked.entry(why).or_default().push(said.variant),
        }
    }
}

/// Where this command keeps its files.
fn folder() -> Result<PathBuf> {
    let folder = shell::root().join("target/compilers");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

/// Writes a file unless it is there and the same; whether it was written.
fn write_if_new(path: &Path, bytes: &[u8]) -> Result<bool> {
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))?;
    Ok(true)
}

/// The variants through all compilers, as many at a time as there are cores.
fn ask_all(steps: &[(&Step, Vec<Kind>)], mut tools: Vec<Tools>) -> Result<BTreeMap<Kind, Tally>> {
    let (next, clock) = (AtomicUsize::new(0), Instant::now());
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}").context("the progress bar's template")?;
    let bar = ProgressBar::new(steps.len() as u64).with_style(style);
    let work = |tools: &mut Tools| {
        let mut said = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((step, kinds)) = steps.get(at) else { return said };
            if at > 0 && at.is_multiple_of(TOLD) && bar.is_hidden() {
                println!("{at} of {}, {:.0} s", steps.len(), clock.elapsed().as_secs_f64());
            }
            for one in tools.ask(step, kinds) {
                // said at once: a whole run takes hours
                if let Verdict::Failed(why) = &one.verdict {
                    bar.suspend(|| println!("FAILED: {}: {}: {why}", one.variant, one.kind));
                }
                said.push(one);
            }
            bar.inc(1);
        }
    };
    let found: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = tools.iter_mut().map(|tools| scope.spawn(|| work(tools))).collect();
        workers.into_iter().map(|w| w.join().map_err(|_| anyhow!("a worker panicked"))).collect()
    });
    bar.finish_and_clear();
    let mut tallies: BTreeMap<Kind, Tally> = BTreeMap::new();
    for said in found {
        said?.into_iter().for_each(|s| tallies.entry(s.kind).or_default().add(s));
    }
    Ok(tallies)
}

impl Compilers {
    fn wanted(&self) -> Vec<Kind> {
        if self.only.is_empty() { KINDS.to_vec() } else { self.only.clone() }
    }

    /// The variants to ask about, and whom.
    fn chosen<'a>(&self, all: &'a BTreeMap<String, Step>) -> Vec<(&'a Step, Vec<Kind>)> {
        let kinds = self.wanted();
        if let Some(part) = &self.name {
            let named = all.values().filter(|s| s.name.contains(part.as_str()));
            return named.map(|step| (step, kinds.clone())).collect();
        }
        let of = |kind| if self.every { 1 } else { share_of(kind) };
        let shares: Vec<_> = kinds.iter().map(|&kind| (kind, list::share(all.keys(), of(kind)))).collect();
        let asked = |step: &Step| shares.iter().filter(|(_, share)| share.contains(&step.name)).map(|s| s.0).collect();
        all.values().map(|step| (step, asked(step))).filter(|(_, asked): &(_, Vec<_>)| !asked.is_empty()).collect()
    }

    fn tools(&self) -> Result<Vec<Tools>> {
        let wanted = self.wanted();
        let has_dxc = wanted.contains(&Kind::Dxc) && dxc::missing().is_none();
        let dxc = if has_dxc { Some(dxc::build()?) } else { None };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        (0..cores).map(|n| Tools::start(&wanted, dxc.as_deref(), n)).collect()
    }

    pub(crate) fn run(&self) -> Result<u8> {
        if self.install {
            install::install()?;
        }
        let clock = Instant::now();
        let all = list::every();
        let steps = self.chosen(&all);
        if steps.is_empty() {
            bail!("{}: no such variant; --list names them", self.name.as_deref().unwrap_or_default());
        }
        if self.list {
            steps.iter().for_each(|(step, _)| println!("{}", step.name));
            println!("{} of {} variants", steps.len(), all.len());
            return Ok(0);
        }
        let mut tools = self.tools()?;
        let names: BTreeMap<Kind, _> = self.wanted().into_iter().map(|k| (k, tools[0].name(k))).collect();
        let plants = planted::plant(&mut tools[0])?;
        println!("{} of {} variants", steps.len(), all.len());
        let tallies = ask_all(&steps, tools)?;
        let faults: Vec<_> = plants.iter().filter_map(planted::Plant::fault).collect();
        faults.iter().for_each(|f| println!("FAILED: {f}"));
        let (mut passed, mut failed) = (plants.len() - faults.len(), faults.len());
        println!("{passed} planted faults refused");
        for (kind, name) in names {
            let tally = tallies.get(&kind);
            match (name, tally) {
                (Ok(name), Some(tally)) => {
                    tell(kind, &name, tally);
                    passed += tally.passed;
                    failed += tally.failed;
                }
                (Ok(_), None) => bail!("{kind} was asked nothing"),
                (Err(why), _) => println!("{kind}: NOT CHECKED: {why} (cargo xtask compilers --install)"),
            }
        }
        println!("compilers: {passed} passed, {failed} failed, {:.0} s", clock.elapsed().as_secs_f64());
        Ok(u8::from(failed > 0))
    }
}

fn tell(kind: Kind, name: &str, tally: &Tally) {
    for (why, variants) in &tally.not_checked {
        println!("{kind}: NOT CHECKED: {} variants, {why}: {} …", variants.len(), variants[0]);
    }
    let (seconds, slowest) = (tally.seconds, &tally.slowest);
    println!(
        "{kind} ({name}): {} passed, {} failed, {seconds:.1} s of work, at most {:.2} s for {}",
        tally.passed, tally.failed, slowest.0, slowest.1
    );
}
