//! Mutants: kernel and slot files with one planted fault. Each must be rejected, or the checker does not check.
//!
//! A mutant replaces a text that occurs exactly once in its target. So it cannot rot unnoticed: when its target changes, it says so.

mod table;

use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use gatefold_core::for_each_op;
use gatefold_cpu_ref::case::HALVES;
use gatefold_cpu_ref::{Case, Reference};
use gatefold_shaders::link::expand;
use gatefold_shaders::{Kernels, Plan, Source, Step};
use gatefold_wgpu::{Gpu, RunError};

use crate::compare::compare;
use crate::profile::Profile;
use crate::run_case::{Prepared, Status, run_poisoned, run_under};

/// A planted fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mutant {
    /// Unique name.
    pub name: &'static str,
    /// WGSL file below `shaders/src`.
    pub target: &'static str,
    /// The fault in words.
    pub fault: &'static str,
    /// A text that occurs once in the target …
    pub find: &'static str,
    /// … and what it becomes.
    pub with: &'static str,
    /// Op whose cases are to reach it; empty for any.
    pub op: &'static str,
    /// What a case's description must hold for the fault to show: each of these words, and none of those that begin with `!`.
    pub reach: &'static [&'static str],
}

/// One row of the table: name, target, fault, text, replacement, op, words.
pub type Row =
    (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

/// Seeds that are searched for cases that reach a mutant.
const SEEDS: u64 = 1_000;

/// Cases that a mutant must survive to count as a survivor.
const TRIES: usize = 14;

/// Largest case that is used, in FLOPs by definition: mutants show in small cases.
const MAX_FLOPS: f64 = 2e7;

/// Longest kernels that are used, in bytes of WGSL of all steps: the rest take too long to compile.
const MAX_WGSL: usize = 440_000;

/// The word of `reach` that stands for a step cut into several dispatches.
const SPLIT: &str = "split";

/// Limits that cut even small cases: a dispatch for each tile of the stream.
const CUT: Profile = Profile::Squeezed(0b00_0101);

/// The same for matrix units, which a CPU-type adapter uses only if it has no subgroups.
const CUT_MATRIX: Profile = Profile::Squeezed(0b00_0111);

/// The word of `reach` that stands for keys shared out to workgroups, and limits under which they are.
const SHARES: &str = "shares of";
const SHARED: Profile = Profile::Squeezed(0);

/// Every mutant.
pub fn all() -> Vec<Mutant> {
    table::rows().map(of_row).collect()
}

fn of_row(&(name, target, fault, find, with, op, reach): &Row) -> Mutant {
    Mutant { name, target, fault, find, with, op, reach }
}

impl Mutant {
    /// The mutated text of a source.
    ///
    /// # Errors
    /// If the mutant no longer fits its target.
    pub fn apply(&self, original: &str) -> Result<String, String> {
        match original.matches(self.find).count() {
            1 => Ok(original.replacen(self.find, self.with, 1)),
            n => Err(format!("{}: expected once in {}, found {n} times: {}", self.name, self.target, self.find)),
        }
    }

    /// Whether its target is a file of a schedule in matrix units.
    pub fn needs_matrix_units(&self) -> bool {
        self.target.contains("matrix")
    }

    /// Whether the fault can show in a case of this description.
    fn shows_in(&self, text: &str) -> bool {
        self.reach.iter().all(|word| word.strip_prefix('!').map_or(text.contains(word), |no| !text.contains(no)))
    }

    /// The plan with the fault in every kernel that has the target.
    ///
    /// # Errors
    /// If the mutant no longer fits its target.
    pub fn mutate(&self, plan: &Plan) -> Result<Plan, String> {
        let mut mutated = plan.clone();
        for step in &mut mutated.steps {
            if !reaches(step, self.target) {
                continue;
            }
            // Another name, or the pipeline cache would give the sound one.
            step.name = format!("{}!{}", step.name, self.name);
            // What was proven was proven of the sound text.
            step.proven = false;
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
    fn new<O: Kernels>(case: &Case<O>, gpu: &Gpu, profile: Profile) -> Self {
        let cost = case.op.cost();
        let plan = case.op.plan(&profile.limits(gpu.limits(), &cost)).ok();
        let spec = serde_json::to_string(&case.op).unwrap_or_default();
        let mut text = format!("{} | {} | {profile} | {spec}", case.op.label(), case.note);
        let steps = plan.iter().flat_map(|p| &p.steps);
        for step in steps {
            let folded = step.dispatches.iter().any(|d| d.grid[1] > 1);
            text.push_str(if folded { " folded" } else { "" });
            text.push_str(if step.dispatches.len() > 1 { " split" } else { "" });
            let has = |file| step.slots.iter().any(|s| s.path.ends_with(file));
            for (file, word) in
                [("carry/side.wgsl", "carry"), ("share/split.wgsl", "shares"), ("rows/grouped.wgsl", "grouped")]
            {
                text.push_str(&if has(file) { format!(" {word} of {}", step.name) } else { String::new() });
            }
        }
        let expanded = plan.iter().flat_map(|p| &p.steps).map(|s| expand(s).map_or(0, |text| text.len()));
        let wgsl = expanded.sum();
        Self { text, plan, flops: cost.flops, wgsl }
    }
}

/// Cases that were looked at or run already.
#[derive(Default)]
struct Shelf(Mutex<HashMap<Key, Arc<dyn Any + Send + Sync>>>);

/// Op, what of it, seed, and the limits, if they are not the seed's.
type Key = (&'static str, &'static str, u64, Option<Profile>);

impl Shelf {
    fn get<T: Send + Sync + 'static>(&self, key: Key, make: impl FnOnce() -> T) -> Arc<T> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = lock().get(&key).cloned().and_then(|found| found.downcast().ok());
        stored.unwrap_or_else(|| {
            let made = Arc::new(make());
            lock().insert(key, made.clone());
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
            Ok((outputs, faults)) => match compare(prepared.exact_for(plan), &outputs) {
                Ok(found) if found.ratio > 1.0 => Ok(Some(found.describe())),
                Ok(_) => Ok(faults.first().cloned()),
                Err(e) => Ok(Some(e)),
            },
        }
    }

    fn try_op<O: Reference + Kernels>(&self, mutant: &Mutant, fared: &mut Fared) -> Result<(), String> {
        let shares = mutant.reach.iter().any(|word| word.starts_with(SHARES));
        let (first, cut) = if mutant.needs_matrix_units() { (HALVES, CUT_MATRIX) } else { (0, CUT) };
        let forced = if mutant.reach.contains(&SPLIT) { Some(cut) } else { shares.then_some(SHARED) };
        for seed in first..first + SEEDS {
            if fared.killed.is_some() || fared.tried >= TRIES {
                return Ok(());
            }
            let profile = forced.unwrap_or_else(|| Profile::of(seed));
            let key = |what| (O::NAME, what, seed, forced);
            let candidate = self.shelf.get(key("candidate"), || Candidate::new(&O::case(seed), self.gpu, profile));
            let Some(plan) = &candidate.plan else { continue };
            let fits = plan.steps.iter().any(|s| reaches(s, mutant.target))
                && mutant.shows_in(&candidate.text)
                && candidate.flops < MAX_FLOPS
                && candidate.wgsl < MAX_WGSL;
            if !fits {
                continue;
            }
            let mutated = mutant.mutate(plan)?;
            let prepared = self.shelf.get((O::NAME, "prepared", seed, None), || Prepared::<O>::new(seed));
            let sound = self.shelf.get(key("sound"), || run_under(self.gpu, &prepared, profile, 1.0));
            if sound.status != Status::Passed {
                return Err(format!("{} seed {seed} fails without the mutant: {}", O::NAME, sound.faults.join("; ")));
            }
            fared.tried += 1;
            let how = self.rejection(&prepared, &mutated)?;
            fared.killed = how.map(|how| format!("{} seed {seed} [{}]: {how}", O::NAME, prepared.case.op.label()));
        }
        Ok(())
    }

    /// Whether the adapter has what a mutant's target is for.
    pub fn can_run(&self, mutant: &Mutant) -> bool {
        !mutant.needs_matrix_units() || self.gpu.limits().matrix.is_some()
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

    const MUTANT: Mutant = Mutant {
        name: "m",
        target: "t.wgsl",
        fault: "f",
        find: "b",
        with: "c",
        op: "",
        reach: &[".alibi", "!causal_"],
    };

    #[test]
    fn the_text_must_occur_once() {
        assert_eq!(MUTANT.apply("abd").unwrap(), "acd");
        assert!(MUTANT.apply("abb").unwrap_err().contains("2 times"));
        assert!(MUTANT.apply("a").unwrap_err().contains("0 times"));
    }

    /// Also of those that no adapter here can run.
    #[test]
    fn every_text_occurs_once_in_its_target() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shaders/src");
        for mutant in all() {
            let original = std::fs::read_to_string(folder.join(mutant.target)).expect(mutant.target);
            assert!(mutant.apply(&original).is_ok_and(|text| text != original), "{:?}", mutant.apply(&original).err());
        }
    }

    #[test]
    fn it_shows_where_all_words_are_and_no_other() {
        assert!(MUTANT.shows_in("softmax.alibi.f32"));
        assert!(!MUTANT.shows_in("softmax.f32") && !MUTANT.shows_in("softmax.causal_top_left.alibi.f32"));
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
