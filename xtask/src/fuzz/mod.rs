//! `cargo xtask fuzz`: builds the fuzz targets with coverage counters in our own crates, and lets libFuzzer run them.
//!
//! The stable compiler suffices: coverage is a pass of LLVM's. It is asked for by a wrapper around the compiler that cargo calls for members of the
//! workspace only, so that every crate from elsewhere is shared with the other builds. The wrapper is this program, told by a variable.

mod corpus;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::shell;

/// A target.
#[derive(Debug)]
struct Target {
    name: &'static str,
    /// Seconds after which an input counts as a hang. A software driver compiles at an input's first dispatch.
    timeout: u32,
    /// Longest input, bytes.
    length: u32,
}

const TARGETS: [Target; 7] = [
    Target { name: "shapes", timeout: 5, length: 256 },
    Target { name: "planner", timeout: 5, length: 256 },
    Target { name: "contents", timeout: 5, length: 256 },
    Target { name: "readers", timeout: 5, length: 4096 },
    Target { name: "precision", timeout: 5, length: 128 },
    Target { name: "differential", timeout: 30, length: 256 },
    Target { name: "calls", timeout: 30, length: 64 },
];

/// `cargo xtask fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Fuzz {
    /// Only this target: shapes, planner, contents, readers, precision, differential, calls
    target: Option<String>,
    /// Seconds for each target
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Afterwards, choose anew what is kept in the repository: the few inputs that reach most
    #[arg(long)]
    minimise: bool,
    /// Run this input only, and show what it does
    #[arg(long, value_name = "FILE", requires = "target")]
    replay: Option<PathBuf>,
}

/// Tells this program that it is called in the compiler's place.
const AS_COMPILER: &str = "GATEFOLD_FUZZ_AS_COMPILER";

/// What makes the compiler count: edges, in a byte each, with a table of where they are, and what is compared.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// Where cargo calls this program in place of the compiler: compiles with coverage, and gives the compiler's status.
pub(crate) fn as_compiler() -> Option<Result<u8>> {
    std::env::var_os(AS_COMPILER)?;
    let mut args = std::env::args_os().skip(1);
    let compiler = args.next().context("expected a compiler");
    let compile = |compiler| {
        let mut command = Command::new(compiler);
        let status = command.args(args).args(COVERAGE).status().context("starting the compiler")?;
        Ok(u8::from(!status.success()))
    };
    Some(compiler.and_then(compile))
}

/// Where a target keeps what it finds: ignored by git.
fn work(name: &str) -> PathBuf {
    shell::root().join("target/fuzz").join(name)
}

/// A target's inputs in the repository.
fn kept(name: &str) -> PathBuf {
    shell::root().join("fuzz/corpus").join(name)
}

fn program(name: &str) -> Command {
    let mut command = Command::new(shell::root().join("target/debug").join(format!("fuzz_{name}")));
    command.current_dir(shell::root());
    command
}

fn build(targets: &[&Target]) -> Result<()> {
    let mut command = shell::cargo();
    // The whole workspace's features, so that what the other builds have made of others' crates is used.
    command.args(["build", "--workspace", "--target-dir", "target"]);
    command.args(["--features", "gatefold-fuzz/libfuzzer,gatefold-fuzz-device/libfuzzer"]);
    command.args(targets.iter().flat_map(|t| ["--bin".into(), format!("fuzz_{}", t.name)]));
    shell::run(command.env(AS_COMPILER, "1").env("RUSTC_WORKSPACE_WRAPPER", shell::own_file()?))
}

/// The number after a word of libFuzzer's: `stat::number_of_executed_units: 123`, `#9 DONE cov: 7 ft: 9`; of the last line that has it.
fn number_after(text: &str, word: &str) -> Option<u64> {
    let line = text.lines().rev().find(|l| l.contains(word))?;
    let after = &line[line.find(word)? + word.len()..];
    after.split_whitespace().next()?.parse().ok()
}

/// What a run says of itself, and whether it ended well.
struct Ran {
    text: String,
    passed: bool,
}

impl Target {
    fn folders(&self) -> Result<[PathBuf; 2]> {
        let folders = [work(self.name).join("corpus"), kept(self.name)];
        for folder in &folders {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        Ok(folders)
    }

    fn run(&self, seconds: u64) -> Result<Ran> {
        let found = format!("{}/", work(self.name).display());
        let mut command = program(self.name);
        // The first folder gets what is found.
        command.args(self.folders()?).arg("-print_final_stats=1").arg(format!("-artifact_prefix={found}"));
        command.args([format!("-max_total_time={seconds}"), format!("-timeout={}", self.timeout)]);
        command.args([format!("-max_len={}", self.length), "-len_control=0".into(), "-rss_limit_mb=4096".into()]);
        let out =
            command.stdin(Stdio::null()).output().with_context(|| format!("starting {}", shell::typed(&command)))?;
        Ok(Ran { text: String::from_utf8_lossy(&out.stderr).into_owned(), passed: out.status.success() })
    }

    /// Says how a run went; whether it passed. One that has tried nothing has not.
    fn tell(&self, ran: &Ran) -> bool {
        let of = |word| number_after(&ran.text, word).unwrap_or(0);
        let (runs, speed) = (of("stat::number_of_executed_units: "), of("stat::average_exec_per_sec: "));
        let (edges, before) = (of(" cov: "), ran.text.lines().find(|l| l.contains("INITED")));
        let before = before.and_then(|l| number_after(l, " cov: ")).unwrap_or(0);
        let new = edges.saturating_sub(before);
        println!("{}: {runs} runs, {speed} a second; {edges} edges, {new} of them new", self.name);
        if ran.passed && runs > 0 {
            return true;
        }
        let lines: Vec<_> = ran.text.lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(40)..].iter().for_each(|l| println!("  {l}"));
        let written = ran.text.lines().find_map(|l| l.split("Test unit written to ").nth(1));
        let written = written.map(|path| path.trim().to_owned());
        println!("FAILED {}: {}", self.name, written.as_deref().unwrap_or("no input was written"));
        written.iter().for_each(|path| println!("  replay: cargo xtask fuzz {} --replay {path}", self.name));
        false
    }
}

fn chosen(name: Option<&str>) -> Result<Vec<&'static Target>> {
    let all: Vec<_> = TARGETS.iter().filter(|t| name.is_none_or(|n| n == t.name)).collect();
    if all.is_empty() {
        let names: Vec<_> = TARGETS.iter().map(|t| t.name).collect();
        bail!("target: expected one of {}, got {}", names.join(", "), name.unwrap_or_default());
    }
    Ok(all)
}

fn replay(target: &Target, input: &Path) -> Result<u8> {
    // Where the user stands; the program stands at the root.
    let input = std::path::absolute(input).context("finding the current folder")?;
    if !input.is_file() {
        bail!("--replay: expected a file, got {}", input.display());
    }
    let status = program(target.name).arg(&input).env("RUST_BACKTRACE", "1").status().context("starting the target")?;
    Ok(u8::from(!status.success()))
}

impl Fuzz {
    pub(crate) fn run(&self) -> Result<u8> {
        let targets = chosen(self.target.as_deref())?;
        build(&targets)?;
        if let (Some(input), [target]) = (&self.replay, &targets[..]) {
            return replay(target, input);
        }
        let mut failed = 0;
        for target in &targets {
            let passed = target.tell(&target.run(self.seconds)?);
            failed += usize::from(!passed);
            if self.minimise && passed {
                corpus::choose(target.name, program(target.name), &target.folders()?)?;
            }
        }
        println!("fuzz: {} passed, {failed} failed", targets.len() - failed);
        Ok(u8::from(failed > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_executions_or_with_a_crash_fails() {
        let told = |text: &str, passed| TARGETS[0].tell(&Ran { text: text.into(), passed });
        let good = "#4 INITED cov: 90 ft: 1\n#9\tDONE   cov: 123 ft: 456\nstat::number_of_executed_units: 9\n";
        assert!(told(good, true));
        assert!(!told(good, false));
        assert!(!told("", true));
        assert_eq!(number_after(good, " cov: "), Some(123));
    }

    #[test]
    fn targets_are_found_by_name_and_have_inputs() {
        assert_eq!(chosen(None).unwrap().len(), TARGETS.len());
        assert_eq!(chosen(Some("planner")).unwrap()[0].name, "planner");
        assert!(chosen(Some("nobody")).unwrap_err().to_string().contains("nobody"));
        for target in TARGETS {
            assert!(std::fs::read_dir(kept(target.name)).is_ok_and(|all| all.count() > 0), "{}", target.name);
        }
    }
}
