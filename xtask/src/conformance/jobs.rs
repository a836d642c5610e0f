//! Cases shared out to processes: an op or a part of one each, several at a time.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use gatefold_tests::conformance::parts;
use gatefold_tests::report::{Part, Report};
use gatefold_tests::run_case::Status;
use gatefold_tests::stacks::Stack;

use super::{Conformance, LOST, journal};
use crate::verify::{NO_ADAPTER, progress};
use crate::{failures, shell};

/// What came of a stack, or of the adapter.
pub(super) struct Ran {
    pub(super) report: Report,
    /// Whether it has no adapter here, and need not have one.
    pub(super) absent: bool,
}

/// One process: which of the stacks, which op, which part of it.
struct Job {
    stack: usize,
    op: &'static str,
    part: [u64; 2],
}

/// What came of one.
enum Outcome {
    /// It ran, from and until when.
    Part(Box<Part>, [f64; 2]),
    Absent,
    Crashed(String),
}

/// Runs what `asked` asks for on each of `stacks` (`None`: the adapter it names), `at_once` processes at a time.
pub(super) fn run(asked: &Conformance, stacks: &[Option<Stack>], at_once: usize) -> Result<Vec<Ran>> {
    let folder = std::env::temp_dir().join(format!("gatefold_conformance_{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let jobs = jobs(asked, stacks, at_once);
    let bar = progress(jobs.len() as u64, "conformance");
    let (next, clock, absent) = (AtomicUsize::new(0), Instant::now(), Mutex::new(BTreeSet::new()));
    let work = || {
        let mut outcomes = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(at) else { return outcomes };
            if absent.lock().unwrap_or_else(PoisonError::into_inner).contains(&job.stack) {
                continue;
            }
            let stack = stacks[job.stack].as_ref();
            let start = clock.elapsed().as_secs_f64();
            let file = folder.join(format!("{at}.json"));
            let outcome = match process(asked, stack, job, &file) {
                Ok(part) => part.map_or(Outcome::Absent, |p| Outcome::Part(p, [start, clock.elapsed().as_secs_f64()])),
                Err(e) => Outcome::Crashed(format!("{}: {e:#}", job.name(stack))),
            };
            if matches!(outcome, Outcome::Absent) {
                absent.lock().unwrap_or_else(PoisonError::into_inner).insert(job.stack);
            }
            bar.inc(1);
            bar.suspend(|| outcome.tell(&job.name(stack)));
            outcomes.push((job.stack, outcome));
        }
    };
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_once).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|w| w.join().unwrap_or_default()).collect()
    });
    bar.finish_and_clear();
    if !outcomes.iter().any(|(_, outcome)| matches!(outcome, Outcome::Crashed(_))) {
        // What it holds has been read.
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(sum_up(stacks, outcomes))
}

/// Most parts of an op on a stack that does not keep compiled kernels.
const FEW_PARTS: u64 = 3;

/// The processes, stack by stack, those that take longest first: no core shall wait for them at the end.
fn jobs(asked: &Conformance, stacks: &[Option<Stack>], at_once: usize) -> Vec<Job> {
    let wanted = |op: &str| asked.op.as_deref().is_none_or(|only| only == op);
    let mut all = Vec::new();
    for (stack, of) in stacks.iter().enumerate() {
        let has = |op: &str| of.as_ref().is_none_or(|s| s.has(op));
        for (op, parts) in parts(at_once).into_iter().filter(|(op, _)| wanted(op) && has(op)) {
            let parts = if asked.op.is_some() { at_once as u64 } else { parts };
            // without kept kernels each part compiles anew what it shares with others
            let parts = if of.as_ref().is_none_or(Stack::keeps_kernels) { parts } else { parts.min(FEW_PARTS) };
            all.extend((0..parts).map(|k| Job { stack, op, part: [k, parts] }));
        }
    }
    all
}

impl Job {
    fn name(&self, stack: Option<&Stack>) -> String {
        let [k, n] = self.part;
        let part = if n > 1 { format!(" {}/{n}", k + 1) } else { String::new() };
        format!("{}{}{part}", stack.map(|s| format!("{} ", s.name)).unwrap_or_default(), self.op)
    }
}

/// Where a process that writes to `file` keeps its journal.
pub(super) fn journal_of(file: &Path) -> PathBuf {
    file.with_extension("journal")
}

/// Processes that one job may take: each goes on after the case that ended the one before.
const LIVES: usize = 50;

/// How long a process may be at one case: no driver needs so long for a kernel that is worth having.
const LONGEST: Duration = Duration::from_secs(300);

/// One job: its part, or `None` if it found no adapter and need not.
fn process(asked: &Conformance, stack: Option<&Stack>, job: &Job, file: &Path) -> Result<Option<Box<Part>>> {
    let (journal, said) = (journal_of(file), file.with_extension("log"));
    for _ in 0..LIVES {
        let mut command = command(asked, stack, job, file)?;
        let ended = watched(&mut command, &journal, &said, LONGEST)?;
        match ended.as_ref().map(ExitStatus::code) {
            Ok(Some(code)) if code == i32::from(NO_ADAPTER) && !stack.is_some_and(|s| s.must_open) => return Ok(None),
            Ok(Some(code)) if code == i32::from(LOST) => {}
            Ok(Some(0)) => {
                let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
                return Ok(Some(serde_json::from_str(&text).context("reading what a process ran")?));
            }
            _ => {
                let how = match &ended {
                    Ok(status) => format!("the process ended: {status}"),
                    Err(TooLong) => format!("the case took more than {} s and was stopped", LONGEST.as_secs()),
                };
                if journal::blame(&journal, &how)?.is_none() {
                    let said = std::fs::read(&said).with_context(|| format!("reading {}", said.display()))?;
                    bail!("{how}: {}", failures::of_log("", &String::from_utf8_lossy(&said)).join("; "));
                }
            }
        }
    }
    bail!("{LIVES} cases have ended a process; the last is in {}", journal.display())
}

/// A process was stopped, since it had been at one case for too long.
#[derive(Debug)]
struct TooLong;

/// Runs a process to its end, or until it has written nothing to its journal for `longest`. What it says goes to the file `said`.
fn watched(
    command: &mut Command,
    journal: &Path,
    said: &Path,
    longest: Duration,
) -> Result<Result<ExitStatus, TooLong>> {
    let log = File::create(said).with_context(|| format!("making {}", said.display()))?;
    let child = command.stdout(log.try_clone()?).stderr(log).spawn();
    let mut child = child.context("starting this program again")?;
    let start = SystemTime::now();
    loop {
        if let Some(status) = child.try_wait().context("waiting for a process")? {
            return Ok(Ok(status));
        }
        let written = std::fs::metadata(journal).and_then(|m| m.modified()).map_or(start, |at| at.max(start));
        if written.elapsed().is_ok_and(|silent| silent > longest) {
            // It may have ended by itself just now.
            let _ = child.kill();
            child.wait().context("waiting for a process")?;
            return Ok(Err(TooLong));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn command(asked: &Conformance, stack: Option<&Stack>, job: &Job, file: &Path) -> Result<Command> {
    let mut command = match stack {
        Some(stack) => shell::again_on(stack)?,
        None => shell::again()?,
    };
    command.args(["conformance", "--op", job.op, "--seed", &asked.seed.to_string(), "--json"]).arg(file);
    command.arg("--part").args(job.part.map(|n| n.to_string()));
    let [cases, thin] = [asked.cases, asked.thin].map(|n| n.map(|n| n.to_string()));
    let stack = stack.map(|s| &s.name);
    let numbers = [("--cases", cases.as_ref()), ("--thin", thin.as_ref())];
    for (flag, value) in [("--stack", stack), ("--adapter", asked.adapter.as_ref())].into_iter().chain(numbers) {
        value.into_iter().for_each(|value| _ = command.args([flag, value]));
    }
    for (flag, given) in [("--full", asked.full), ("--checked", asked.checked)] {
        given.then(|| command.arg(flag));
    }
    Ok(command)
}

impl Outcome {
    /// What came of it, as soon as it is known.
    fn tell(&self, name: &str) {
        match self {
            Self::Part(part, [from, until]) => {
                for case in part.cases.iter().filter(|c| c.status == Status::Failed) {
                    println!("FAILED {name} seed {}: {}", case.seed, case.faults.join("; "));
                }
                println!("  {name}: {} cases in {:.0} s", part.cases.len(), until - from);
            }
            Self::Absent => println!("  {name}: no adapter"),
            Self::Crashed(why) => println!("CRASHED {why}"),
        }
    }
}

/// A report per stack. Its time is from the start of its first process to the end of its last.
fn sum_up(stacks: &[Option<Stack>], mut outcomes: Vec<(usize, Outcome)>) -> Vec<Ran> {
    let one = |(at, stack): (usize, &Option<Stack>)| {
        let (mut parts, mut crashes, mut absent) = (Vec::new(), Vec::new(), false);
        let [mut start, mut end] = [f64::INFINITY, 0.0f64];
        for (_, outcome) in outcomes.extract_if(.., |(of, _)| *of == at) {
            match outcome {
                Outcome::Part(part, [from, until]) => {
                    (start, end) = (start.min(from), end.max(until));
                    parts.push(*part);
                }
                Outcome::Absent => absent = true,
                Outcome::Crashed(why) => crashes.push(why),
            }
        }
        let name = stack.as_ref().map(|s| s.name.clone()).unwrap_or_default();
        let seconds = (end - start).max(0.0);
        Ran { report: Report { stack: name, seconds, crashes, ..Report::joined(parts) }, absent }
    };
    stacks.iter().enumerate().map(one).collect()
}

// With programs that every Unix has.
#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_silent_for_too_long_is_stopped() {
        let folder = std::env::temp_dir().join(format!("gatefold_watched_{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let run = |program: &str, argument: &str, longest| {
            let mut command = Command::new(program);
            command.arg(argument);
            watched(&mut command, &folder.join("journal"), &folder.join("log"), longest).unwrap()
        };
        assert!(run("sleep", "30", Duration::from_millis(200)).is_err());
        assert!(run("echo", "word", Duration::from_secs(30)).is_ok_and(|status| status.success()));
        assert_eq!(std::fs::read_to_string(folder.join("log")).unwrap(), "word\n");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
