//! `cargo xtask isa`: the kernels' machine code for AMD GPUs, compiled by RADV's null device. No GPU is needed, nothing is executed.

mod align;
mod cases;
mod code;
mod compile;
mod density;
mod driver;
mod flow;
mod listing;
mod report;
mod routing;
pub(crate) mod spirv;
mod table;
#[allow(unsafe_code, reason = "Vulkan's entry points are unsafe; each call says why it is sound")]
mod vulkan;
mod worker;

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::setup;
use cases::{Case, Cases};
use driver::{FAMILIES, Family, Radv};
use report::{Baseline, Report};
use spirv::Checks;

pub(crate) use worker::Worker;

/// `cargo xtask isa`.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Isa {
    /// Only kernels whose variant name, op or label contains this
    name: Option<String>,
    /// Every variant that the cases of the tests reach (minutes)
    #[arg(long, conflicts_with_all = ["against", "save"])]
    every: bool,
    /// Families to compile for (default: all)
    #[arg(long, value_delimiter = ',')]
    family: Vec<Family>,
    /// The RADV to use, by the file that announces it to the Vulkan loader (default: what is installed)
    #[arg(long, value_name = "ICD.json")]
    driver: Option<PathBuf>,
    /// Writes the whole report here
    #[arg(long)]
    json: Option<PathBuf>,
    /// Compares with saved figures; exits with 1 on a spill or a loss of more than 2 points
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// Saves the key figures for the driver's version here; those of other versions stay
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Also prints every kernel's loops, a line each
    #[arg(long)]
    loops: bool,
    /// Prints the hot loop of the only kernel that NAME leaves: its WGSL and its machine code for the first family
    #[arg(long)]
    code: bool,
    /// With --code: code with naga's run-time checks
    #[arg(long, requires = "code")]
    checks: bool,
    /// With --code: also keeps the whole disassembly here
    #[arg(long, requires = "code", value_name = "FILE")]
    listing: Option<PathBuf>,
    /// Lists the kernels
    #[arg(long)]
    list: bool,
}

/// Exit status where a driver is missing.
pub(crate) const MISSING: u8 = 2;

/// Says why there is no driver to ask.
fn missing(why: &anyhow::Error) -> u8 {
    println!("RADV's null device cannot be used:\n{why:#}");
    MISSING
}

impl Isa {
    fn families(&self) -> Vec<Family> {
        if self.family.is_empty() { FAMILIES.to_vec() } else { self.family.clone() }
    }

    fn wanted(&self, case: &Case) -> bool {
        let text = format!("{} {}", case.spec, case.step.name);
        self.name.as_ref().is_none_or(|name| text.contains(name.as_str()))
    }

    pub(crate) fn run(&self) -> Result<u8> {
        let Cases { described, others } = if self.every { Cases::every() } else { Cases::shown()? };
        let cases: Vec<_> = described.into_iter().filter(|c| self.wanted(c)).collect();
        if cases.is_empty() {
            bail!("{}: no such kernel; --list names them", self.name.as_deref().unwrap_or_default());
        }
        let cases_of = |f: Family| cases.iter().filter(move |c| c.wave == f.wave()).cloned().collect::<Vec<_>>();
        if self.list {
            let cases = cases_of(self.families()[0]);
            cases.iter().for_each(|c| println!("{}: {}", c.spec, c.step.name));
            println!("{} kernels; {} more variants have no described loops", cases.len(), others.len());
            return Ok(0);
        }
        let drivers = Radv::find(self.driver.as_deref())?;
        if drivers.is_empty() {
            println!(
                "There is no RADV, Mesa's driver for AMD GPUs on Linux. No GPU is needed, only the driver. {}",
                setup::advice()
            );
            return Ok(MISSING);
        }
        if self.code {
            return self.print_code(&drivers, &cases_of(self.families()[0]));
        }
        let report = match compile::report(&drivers, &self.families(), &cases) {
            Ok(report) => report,
            Err(e) => return Ok(missing(&e)),
        };
        self.families().iter().for_each(|&f| println!("{}", table::table(&report, f)));
        println!("{}", table::LEGEND);
        for row in report.rows.iter().filter(|_| self.loops) {
            println!("{}\n{}", row.key(), code::outline(&row.figures));
        }
        println!("{} variants without described loops are left out", others.len());
        report.failures.iter().for_each(|f| println!("FAILED: {f}"));
        if let Some(path) = &self.json {
            report.write(path)?;
        }
        let faults = report.failures.len() + self.compare(&report)?;
        if let Some(path) = &self.save {
            Baseline::save(&report, path)?;
        }
        println!("isa: {} passed, {faults} failed", report.rows.len().saturating_sub(faults));
        Ok(u8::from(faults > 0))
    }

    /// Prints what changed since the saved report; how many changes are faults.
    fn compare(&self, report: &Report) -> Result<usize> {
        let Some(path) = &self.against else { return Ok(0) };
        let whole = self.name.is_none() && self.family.is_empty();
        let changes = Baseline::read(path)?.changes(report, whole && report.failures.is_empty());
        changes.lines.iter().for_each(|l| println!("{l}"));
        changes.faults.iter().for_each(|l| println!("FAULT: {l}"));
        println!("{} rows compared with {}", changes.compared, path.display());
        Ok(changes.faults.len())
    }

    fn print_code(&self, drivers: &[Radv], cases: &[Case]) -> Result<u8> {
        let [case] = cases else {
            let names: Vec<_> = cases.iter().map(|c| format!("{}: {}", c.spec, c.step.name)).collect();
            bail!("--code shows one kernel, and {} have this in their name:\n  {}", cases.len(), names.join("\n  "));
        };
        let family = self.families()[0];
        let checks = if self.checks { Checks::On } else { Checks::Off };
        let shaders = compile::shaders(cases)?;
        let wanted: Vec<_> = shaders.iter().filter(|s| s.checks == checks).collect();
        let (greeting, mut answers) = match compile::answers(drivers, family, &wanted) {
            Ok(found) => found,
            Err(e) => return Ok(missing(&e)),
        };
        let answer = answers.swap_remove(0)?;
        println!("{}, {}, {}", family.name(), greeting.driver, case.spec);
        if let Some(path) = &self.listing {
            compile::keep(&answer, path)?;
        }
        println!("{}", code::text(&case.step, wanted[0].workgroup, &answer)?);
        Ok(0)
    }
}
