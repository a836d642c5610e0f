//! `cargo xtask test`: everything that must hold, stage by stage, with one closing line.

use std::sync::OnceLock;
use std::time::Instant;

use anyhow::Result;
use gatefold_tests::stacks::{self, Runtime};

use crate::verify::vector_folders;
use crate::{failures, isa, peers, setup, shell, tidy};

/// `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Suite {
    /// Do not install missing software drivers
    #[arg(long)]
    no_install: bool,
    /// Stacks that conformance runs on; those of `all` are installed if they are missing
    #[arg(long, value_enum, default_value = "default")]
    stacks: Choice,
    /// Only the stages whose name contains this: format, layout, clippy, docs, machine code, compilers, sanitizer, tests, mutants, conformance, vectors
    #[arg(long)]
    only: Option<String>,
}

/// Which stacks conformance runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Choice {
    /// wgpu on every driver of the system, once more with a tenth of the cases and nothing beyond WebGPU, and Dawn
    Default,
    /// Every stack: also subgroups of 4, 8 and 16, a newer Mesa, and Dawn on each driver
    All,
}

/// The choice of this run.
static CHOICE: OnceLock<Choice> = OnceLock::new();

/// How many checks of a stage held.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Count {
    passed: usize,
    failed: usize,
}

impl Count {
    fn one(passed: bool) -> Self {
        Self { passed: usize::from(passed), failed: usize::from(!passed) }
    }

    /// A process that counts for itself; if it failed without counting a failure (it did not build, it crashed), that is one.
    fn told(told: Self, success: bool) -> Self {
        let failed = if success { told.failed } else { told.failed.max(1) };
        Self { passed: told.passed, failed }
    }
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// What came of a stage or a part of it: its checks, and the lines that say which failed.
#[derive(Debug, Default)]
struct Outcome {
    count: Count,
    failures: Vec<String>,
}

impl Outcome {
    /// By what a process wrote, `who` it is if there are several.
    fn heard(count: Count, who: &str, log: &str) -> Self {
        let failures = if count.failed == 0 { Vec::new() } else { failures::of_log(who, log) };
        Self { count, failures }
    }

    /// A failure in words.
    fn failed(why: String) -> Self {
        println!("  {why}");
        Self { count: Count::one(false), failures: vec![why] }
    }
}

impl std::ops::AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.failures.extend(other.failures);
    }
}

/// A number before a word: `12 passed` in `… 12 passed; 0 failed`.
fn number_before(line: &str, word: &str) -> usize {
    let words: Vec<_> = line.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let at = words.iter().position(|w| *w == word);
    at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
}

/// Sums the lines that begin like this and say how many passed and failed.
fn sum(text: &str, begin: &str, words: [&str; 2]) -> Count {
    let mut all = Count::default();
    for line in text.lines().filter(|l| l.starts_with(begin)) {
        all += Count { passed: number_before(line, words[0]), failed: number_before(line, words[1]) };
    }
    all
}

/// A command that counts as one check.
fn one(mut command: std::process::Command) -> Result<Outcome> {
    println!("  $ {}", shell::typed(&command));
    let (log, code) = shell::tee(&mut command, "")?;
    Ok(Outcome::heard(Count::one(code == Some(0)), "", &log))
}

/// A cargo command that counts as one check.
fn cargo(args: &[&str], env: &[(&str, &str)]) -> Result<Outcome> {
    let mut command = shell::cargo();
    command.args(args).envs(env.iter().copied());
    one(command)
}

/// The workspace, and the package that is not in it.
fn format() -> Result<Outcome> {
    let mut all = cargo(&["fmt", "--all", "--check"], &[])?;
    all += cargo(&["fmt", "--manifest-path", peers::MANIFEST, "--check"], &[])?;
    Ok(all)
}

fn layout() -> Result<Outcome> {
    let (files, faults) = tidy::faults()?;
    faults.iter().for_each(|f| println!("  {f}"));
    println!("  {files} files");
    let count = Count { passed: files.saturating_sub(faults.len()), failed: faults.len() };
    Ok(Outcome { count, failures: faults })
}

/// Unit, integration and documentation tests, and the examples, which must also run.
fn tests() -> Result<Outcome> {
    let mut command = shell::cargo();
    command.args(["test", "--workspace", "--no-fail-fast", "--color", "never"]);
    println!("  $ {}", shell::typed(&command));
    let (text, code) = shell::tee(&mut command, "")?;
    let count = Count::told(sum(&text, "test result:", ["passed", "failed"]), code == Some(0));
    let mut all = Outcome::heard(count, "", &text);
    for example in examples() {
        all += one(shell::built_example(&example)?)?;
    }
    Ok(all)
}

/// Names of the library's examples.
fn examples() -> Vec<String> {
    let entries = std::fs::read_dir(shell::root().join("crates/wgpu-backend/examples"));
    let stem = |path: std::path::PathBuf| {
        let is_rust = path.extension().is_some_and(|e| e == "rs");
        path.file_stem().filter(|_| is_rust).map(|s| s.to_string_lossy().into_owned())
    };
    let mut names: Vec<_> = entries.into_iter().flatten().filter_map(|e| stem(e.ok()?.path())).collect();
    names.sort();
    names
}

/// Every op on every stack; the reports are kept.
fn conformance() -> Result<Outcome> {
    if !stacks::installed().iter().any(|s| s.runtime == Runtime::Dawn) {
        println!("  NOT RUN: Dawn is not installed (cargo xtask setup --stacks)");
    }
    let stacks = if CHOICE.get() == Some(&Choice::All) { "all" } else { "default" };
    let kept = ["--json", "target/conformance.json", "--html", "target/conformance.html"];
    own(&[&["conformance", "--stack", stacks], &kept[..]].concat(), "conformance:")
}

fn vectors() -> Result<Outcome> {
    vector_folders().iter().for_each(|f| println!("  {}", f.display()));
    own(&["vectors", "--quiet"], "vectors:")
}

/// The kernels' machine code against the saved figures. Where RADV is not there (or too new to have a null device), that is said.
fn machine_code() -> Result<Outcome> {
    let mut command = shell::again()?;
    command.args(["isa", "--against", "benches/isa.json"]);
    println!("  $ {}", shell::typed(&command));
    let (text, code) = shell::tee(&mut command, "  ")?;
    if code == Some(i32::from(isa::MISSING)) {
        println!("  NOT CHECKED: no RADV with a null device");
        return Ok(Outcome::default());
    }
    let count = Count::told(sum(&text, "isa:", ["passed", "failed"]), code == Some(0));
    Ok(Outcome::heard(count, "", &text))
}

/// A command of this program, which sums up in lines that begin like this.
fn own(args: &[&str], begin: &str) -> Result<Outcome> {
    let mut again = shell::again()?;
    again.args(args);
    println!("  $ {}", shell::typed(&again));
    let (text, code) = shell::tee(&mut again, "  ")?;
    let count = Count::told(sum(&text, begin, ["passed", "failed"]), code == Some(0));
    Ok(Outcome::heard(count, "", &text))
}

type Stage = (&'static str, fn() -> Result<Outcome>);

/// The stages, quickest first: what is wrong is said early. Mutants are a test target of the workspace and run with the tests.
const STAGES: [Stage; 10] = [
    ("format", format),
    ("layout", layout),
    ("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"], &[])),
    ("docs", || cargo(&["doc", "--workspace", "--no-deps", "--quiet"], &[("RUSTDOCFLAGS", "-D warnings")])),
    ("machine code", machine_code),
    // Those compilers that are not installed are named, and count neither way.
    ("compilers", || own(&["compilers"], "compilers:")),
    ("sanitizer", || own(&["sanitize"], "sanitizer:")),
    ("tests, examples and mutants", tests),
    ("conformance on every stack", conformance),
    ("vectors", vectors),
];

impl Suite {
    pub(crate) fn run(&self) -> Result<u8> {
        setup::linker()?;
        if !self.no_install {
            setup::drivers_for_tests(self.stacks == Choice::All)?;
        }
        CHOICE.get_or_init(|| self.stacks);
        let clock = Instant::now();
        let mut all = Count::default();
        let wanted = |name: &str| self.only.as_ref().is_none_or(|only| name.contains(only.as_str()));
        let (mut lines, mut failures) = (Vec::new(), Vec::new());
        for (name, stage) in STAGES.iter().filter(|(name, _)| wanted(name)) {
            println!("== {name}");
            let start = Instant::now();
            let Outcome { count, failures: named } = stage().unwrap_or_else(|e| Outcome::failed(format!("{e:#}")));
            let seconds = start.elapsed().as_secs_f64();
            let line = format!("{name}: {} passed, {} failed, {seconds:.0} s", count.passed, count.failed);
            println!("   {line}\n");
            lines.push(line);
            failures.push((*name, named));
            all += count;
        }
        println!("== in all, {:.0} s", clock.elapsed().as_secs_f64());
        lines.iter().for_each(|l| println!("   {l}"));
        let failures = failures::summary(&failures);
        if !failures.is_empty() {
            println!("== what failed");
            failures.iter().for_each(|l| println!("{l}"));
        }
        println!("{} passed, {} failed", all.passed, all.failed);
        Ok(u8::from(all.failed > 0 || all.passed == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted() {
        let text =
            "test result: ok. 12 passed; 1 failed; 0 ignored\nnoise 7 passed\ntest result: ok. 3 passed; 0 failed\n";
        assert_eq!(sum(text, "test result:", ["passed", "failed"]), Count { passed: 15, failed: 1 });
        let stacks =
            "conformance: mesa-26: 8 passed, 1 failed, 0 not supported, 9 s\nconformance: dawn: NOT RUN: absent\n";
        assert_eq!(sum(stacks, "conformance:", ["passed", "failed"]), Count { passed: 8, failed: 1 });
    }

    #[test]
    fn a_crash_is_a_failure() {
        assert_eq!(Count::told(Count { passed: 3, failed: 0 }, false), Count { passed: 3, failed: 1 });
    }
}
