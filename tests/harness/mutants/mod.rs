//! Mutants: copies of kernel and slot files with one planted fault. Each must be rejected, or the checker does not check.
//!
//! A mutant is either a replacement of a text that occurs exactly once in its target, or a whole file of `tests/mutants/` that differs
//! from its target in exactly one line. So a mutant cannot rot unnoticed: when its target changes, it says so.

mod table;

use std::any::Any;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use gatefold_core::for_each_op;
use gatefold_cpu_ref::{Case, Reference};
use gatefold_shaders::link::expand;
use gatefold_shaders::{Kernels, Plan, Source, Step};
use gatefold_wgpu::{Gpu, RunError};

use crate::compare::compare;
use crate::profile::Profile;
use crate::run_case::{Prepared, Status, run_poisoned, run_prepared};

/// What is changed in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The first text, which occurs once, becomes the second.
    Replace(&'static str, &'static str),
    /// The whole file.
    File(String),
}

/// A planted fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Unique name.
    pub name: String,
    /// WGSL file below `shaders/src`.
    pub target: &'static str,
    /// The fault in words.
    pub fault: String,
    /// The change.
    pub change: Change,
    /// Op whose cases are to reach it; empty for any.
    pub op: &'static str,
    /// Words that must all occur in a case's description for the fault to show.
    pub reach: &'static [&'static str],
}

/// One row of the table: name, target, fault, text, replacement, op, words.
pub type Row =
    (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

/// Seeds that are searched for cases that reach a mutant.
const SEEDS: u64 = 700;

/// Cases that a mutant must survive to count as a survivor.
const TRIES: usize = 14;

/// Largest case that is used, in FLOPs by definition: mutants show in small cases.
const MAX_FLOPS: f64 = 2e7;

/// Longest kernels that are used, in bytes of WGSL of all steps: the rest take too long to compile.
const MAX_WGSL: usize = 160_000;

/// Header lines of a whole-file mutant: the fault, and its target.
const FAULT: &str = "// mutant: ";
const TARGET: &str = "// of: ";

/// Every mutant: the table's and the files'.
///
/// # Errors
/// A file that cannot be read or lacks its header.
pub fn all(folder: &Path) -> Result<Vec<Mutant>, String> {
    let mut found: Vec<Mutant> = table::rows().map(of_row).collect();
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<_> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    for path in paths.iter().filter(|p| p.extension().is_some_and(|e| e == "wgsl")) {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        found.push(of_file(path, &text)?);
    }
    Ok(found)
}

fn of_row(&(name, target, fault, find, with, op, reach): &Row) -> Mutant {
    Mutant { name: name.into(), target, fault: fault.into(), change: Change::Replace(find, with), op, reach }
}

fn of_file(path: &Path, text: &str) -> Result<Mutant, String> {
    let name = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let mut lines = text.lines();
    let mut header = |mark: &str| {
        let line = lines.next().and_then(|l| l.strip_prefix(mark));
        line.map(str::to_owned).ok_or_else(|| format!("{name}: expected a line that begins with \"{mark}\""))
    };
    let (fault, target) = (header(FAULT)?, header(TARGET)?);
    let rest: String = lines.map(|l| format!("{l}\n")).collect();
    Ok(Mutant { name, target: target.leak(), fault, change: Change::File(rest), op: "", reach: &[] })
}

impl Mutant {
    /// The mutated text of a source.
    ///
    /// # Errors
    /// If the mutant no longer fits its target.
    pub fn apply(&self, original: &str) -> Result<String, String> {
        let rotten = |why: String| Err(format!("{} no longer fits {}: {why}", self.name, self.target));
        match &self.change {
            Change::Replace(find, with) => match original.matches(find).count() {
                1 => Ok(original.replacen(find, with, 1)),
                n => rotten(format!("the text occurs {n} times, expected once: {find}")),
            },
            Change::File(text) => {
                let (old, new): (Vec<_>, Vec<_>) = (original.lines().collect(), text.lines().collect());
                let differing = old.iter().zip(&new).filter(|(a, b)| a != b).count();
                if old.len() != new.len() || differing != 1 {
                    let (a, b) = (old.len(), new.len());
                    return rotten(format!("expected one differing line, got {differing} ({a} and {b} lines)"));
                }
                Ok(text.clone())
            }
        }
    }

    fn mutate(&self, plan: &Plan) -> Result<Plan, String> {
        let mut mutated = plan.clone();
        for step in &mut mutated.steps {
            if !reaches(step, self.target) {
                continue;
            }
            // Another name, or the pipeline cache would give the sound one.
            step.name = format!("{}!{}", step.name, self.name);
            for source in std::iter::once(&mut step.kernel).chain(&mut step.slots) {
                if source.path == self.target {
                    *source = Source { path: source.path, text: self.apply(source.text)?.leak() };
                }
            }
        }
        Ok(mutated)
    }
}

fn reaches(step: &Step, target: &str) -> bool {
    std::iter::once(&step.kernel).chain(&step.slots).any(|s| s.path == target)
}

/// What there is to know about a case without running it.
struct Candidate {
    text: String,
    plan: Option<Plan>,
    flops: f64,
    /// Bytes of WGSL that the driver would compile: wide heads are unrolled into very long kernels.
    wgsl: usize,
}

impl Candidate {
    fn new<O: Kernels>(case: &Case<O>, gpu: &Gpu) -> Self {
        let cost = case.op.cost();
        let profile = Profile::of(case.seed);
        let plan = case.op.plan(&profile.limits(gpu.limits(), &cost)).ok();
        let spec = serde_json::to_string(&case.op).unwrap_or_default();
        let mut text = format!("{} | {} | {profile} | {spec}", case.op.label(), case.note);
        let steps = plan.iter().flat_map(|p| &p.steps);
        for step in steps {
            let folded = step.dispatches.iter().any(|d| d.grid[1] > 1);
            text.push_str(if folded { " folded" } else { "" });
            text.push_str(if step.dispatches.len() > 1 { " split" } else { "" });
        }
        let expanded = plan.iter().flat_map(|p| &p.steps).map(|s| expand(s).map_or(0, |text| text.len()));
        let wgsl = expanded.sum();
        Self { text, plan, flops: cost.flops, wgsl }
    }
}

/// Cases that were looked at or run already.
#[derive(Default)]
struct Shelf(Mutex<HashMap<Key, Arc<dyn Any + Send + Sync>>>);

/// Op, what of it, and seed.
type Key = (&'static str, &'static str, u64);

impl Shelf {
    fn get<T: Send + Sync + 'static>(
        &self,
        kind: &'static str,
        op: &'static str,
        seed: u64,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = lock().get(&(kind, op, seed)).cloned().and_then(|found| found.downcast().ok());
        stored.unwrap_or_else(|| {
            let made = Arc::new(make());
            lock().insert((kind, op, seed), made.clone());
            made
        })
    }
}

/// Runs mutants on an adapter.
pub struct Proof<'a> {
    gpu: &'a Gpu,
    shelf: Shelf,
}

/// How a mutant fared on the cases of one op.
#[derive(Default)]
struct Fared {
    /// Cases that reached it.
    tried: usize,
    /// How it was rejected.
    killed: Option<String>,
}

impl<'a> Proof<'a> {
    /// A proof on an adapter.
    pub fn new(gpu: &'a Gpu) -> Self {
        Self { gpu, shelf: Shelf::default() }
    }

    /// How the mutated case is seen to be wrong; `None` if it is not.
    fn rejection<O: Reference + Kernels>(&self, prepared: &Prepared<O>, plan: &Plan) -> Result<Option<String>, String> {
        match run_poisoned(self.gpu, &prepared.case, plan) {
            Err(RunError::Link(e)) => Err(format!("does not compile: {e}")),
            Err(e) => Ok(Some(e.to_string())),
            Ok((outputs, faults)) => match compare(&prepared.exact, &outputs) {
                Ok(found) if found.ratio > 1.0 => Ok(Some(found.describe())),
                Ok(_) => Ok(faults.first().cloned()),
                Err(e) => Ok(Some(e)),
            },
        }
    }

    fn try_op<O: Reference + Kernels>(&self, mutant: &Mutant, fared: &mut Fared) -> Result<(), String> {
        for seed in 0..SEEDS {
            if fared.killed.is_some() || fared.tried >= TRIES {
                return Ok(());
            }
            let candidate = self.shelf.get("candidate", O::NAME, seed, || Candidate::new(&O::case(seed), self.gpu));
            let Some(plan) = &candidate.plan else { continue };
            let fits = plan.steps.iter().any(|s| reaches(s, mutant.target))
                && mutant.reach.iter().all(|word| candidate.text.contains(word))
                && candidate.flops < MAX_FLOPS
                && candidate.wgsl < MAX_WGSL;
            if !fits {
                continue;
            }
            let mutated = mutant.mutate(plan)?;
            let prepared = self.shelf.get("prepared", O::NAME, seed, || Prepared::<O>::new(seed));
            let sound = self.shelf.get("sound", O::NAME, seed, || run_prepared(self.gpu, &prepared, 1.0));
            if sound.status != Status::Passed {
                return Err(format!("{} seed {seed} fails without the mutant: {}", O::NAME, sound.faults.join("; ")));
            }
            fared.tried += 1;
            let how = self.rejection(&prepared, &mutated)?;
            fared.killed = how.map(|how| format!("{} seed {seed} [{}]: {how}", O::NAME, prepared.case.op.label()));
        }
        Ok(())
    }

    /// Runs a mutant against cases that reach it until one rejects it. How it was rejected.
    ///
    /// # Errors
    /// If it survives, is reached by no case, no longer fits its target, or a case fails without it.
    pub fn run(&self, mutant: &Mutant) -> Result<String, String> {
        let mut fared = Fared::default();
        macro_rules! try_each {
            ($($op:ty),*) => {$(
                if mutant.op.is_empty() || mutant.op == <$op as gatefold_core::Op>::NAME {
                    self.try_op::<$op>(mutant, &mut fared)?;
                }
            )*};
        }
        for_each_op!(try_each);
        match fared {
            Fared { killed: Some(how), .. } => Ok(how),
            Fared { tried: 0, .. } => Err(format!("no case reaches {} with {:?}", mutant.target, mutant.reach)),
            Fared { tried, .. } => Err(format!("survived {tried} cases: {}", mutant.fault)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(change: Change) -> Mutant {
        Mutant { name: "m".into(), target: "t.wgsl", fault: "f".into(), change, op: "", reach: &[] }
    }

    #[test]
    fn a_replacement_must_occur_once() {
        assert_eq!(mutant(Change::Replace("b", "c")).apply("abd").unwrap(), "acd");
        assert!(mutant(Change::Replace("b", "c")).apply("abb").unwrap_err().contains("2 times"));
        assert!(mutant(Change::Replace("b", "c")).apply("a").unwrap_err().contains("0 times"));
    }

    #[test]
    fn a_file_must_differ_in_one_line() {
        assert!(mutant(Change::File("a\nx\n".into())).apply("a\nb\n").is_ok());
        assert!(mutant(Change::File("a\nb\n".into())).apply("a\nb\n").is_err());
        assert!(mutant(Change::File("x\ny\n".into())).apply("a\nb\n").is_err());
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = table::rows().map(|m| m.0).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
