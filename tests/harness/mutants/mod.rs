//! Mutants: kernel and slot files with one planted fault. Each must be rejected, or the checker does not check.
//!
//! A mutant replaces a text that occurs exactly once in its target. So it cannot rot unnoticed: when its target changes, it says so.

mod candidates;
pub mod planted;
mod table;

use gatefold_core::for_each_op;
use gatefold_cpu_ref::Reference;
use gatefold_cpu_ref::case::HALVES;
use gatefold_shaders::{Kernels, Limits, Plan, Source, Step};
use gatefold_wgpu::{Gpu, RunError};

use candidates::{Candidate, Shelf, spread};

use crate::compare::compare;
use crate::interpreter::{How, Programs, execute};
use crate::profile::Profile;
use crate::run_case::{Prepared, run_poisoned};

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

/// Cases of an op that a mutant must survive to count as a survivor.
const TRIES: usize = 14;

/// The same of one of which nobody said where it shows, of each set of limits.
const PLANTED_TRIES: usize = 40;

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

/// What runs a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Machine {
    /// The sanitizer's, of naga's IR: no driver compiles, which on software drivers takes seconds a kernel.
    Interpreter,
    /// The adapter.
    Adapter,
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Interpreter { "interpreted" } else { "on the adapter" })
    }
}

/// Runs mutants.
pub struct Proof<'a> {
    gpu: &'a Gpu,
    machines: &'static [Machine],
    /// Whether nobody said where the mutants show.
    planted: bool,
    programs: Programs,
    shelf: Shelf,
}

/// What came of a mutant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// A case rejected it, so.
    Rejected(String),
    /// So many cases that reached it did not.
    Survived(usize),
    /// No case reaches it.
    Unreached,
    /// It is no WGSL, so.
    Invalid(String),
}

/// Why a plan was not judged.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("does not compile: {0}")]
    Invalid(String),
    #[error("{0}")]
    Fault(String),
}

impl From<String> for Unfit {
    fn from(fault: String) -> Self {
        Self::Fault(fault)
    }
}

impl<'a> Proof<'a> {
    /// A proof on an adapter.
    pub fn new(gpu: &'a Gpu) -> Self {
        let (programs, shelf) = (Programs::default(), Shelf::default());
        Self { gpu, machines: &[Machine::Adapter], planted: false, programs, shelf }
    }

    /// A proof in the interpreter, and on an adapter of what passes there.
    pub fn interpreted(gpu: &'a Gpu) -> Self {
        Self { machines: &[Machine::Interpreter, Machine::Adapter], ..Self::new(gpu) }
    }

    /// A proof of planted faults, of which nobody said where they show: in the interpreter only, with more cases.
    pub fn of_planted(gpu: &'a Gpu) -> Self {
        Self { machines: &[Machine::Interpreter], planted: true, ..Self::new(gpu) }
    }

    /// Its adapter.
    pub fn gpu(&self) -> &'a Gpu {
        self.gpu
    }

    /// How the case is seen to be wrong under a plan; `None` if it is not.
    fn rejection<O: Reference + Kernels>(
        &self,
        machine: Machine,
        prepared: &Prepared<O>,
        plan: &Plan,
        limits: &Limits,
    ) -> Result<Option<String>, Unfit> {
        let case = &prepared.case;
        let (outputs, faults) = match machine {
            Machine::Adapter => match run_poisoned(self.gpu, case, plan) {
                Err(RunError::Link(e)) => return Err(Unfit::Invalid(e.to_string())),
                Err(e) => return Ok(Some(e.to_string())),
                Ok(ran) => ran,
            },
            Machine::Interpreter => {
                for step in &plan.steps {
                    self.programs.get(step).map_err(|e| Unfit::Invalid(format!("{e:#}")))?;
                }
                let how = How { subgroup: limits.subgroup.unwrap_or(32), seed: case.seed, adversary: None };
                let ran = match execute(&self.programs, plan, &case.op.operands(), &case.inputs, how) {
                    Err(e) => return Ok(Some(format!("{e:#}"))),
                    Ok(ran) => ran,
                };
                let findings = ran.findings.iter().map(ToString::to_string);
                (ran.outputs, findings.chain(ran.faults).collect())
            }
        };
        match compare(prepared.exact_for(plan), &outputs) {
            Ok(found) if found.ratio > 1.0 => Ok(Some(found.describe())),
            Ok(_) => Ok(faults.into_iter().next()),
            Err(e) => Ok(Some(e)),
        }
    }

    /// What cases of an op make of a mutant.
    fn try_op<O: Reference + Kernels>(&self, machine: Machine, mutant: &Mutant) -> Result<Fate, Unfit> {
        let shares = mutant.reach.iter().any(|word| word.starts_with(SHARES));
        let (first, cut) = if mutant.needs_matrix_units() { (HALVES, CUT_MATRIX) } else { (0, CUT) };
        let named = if mutant.reach.contains(&SPLIT) { Some(cut) } else { shares.then_some(SHARED) };
        let rounds = if self.planted { vec![None, Some(CUT), Some(SHARED)] } else { vec![named] };
        let mut tried = 0;
        for forced in rounds {
            match self.try_under::<O>(machine, mutant, first, forced)? {
                Fate::Survived(cases) => tried += cases,
                Fate::Unreached => {}
                fate => return Ok(fate),
            }
        }
        Ok(if tried == 0 { Fate::Unreached } else { Fate::Survived(tried) })
    }

    /// The same under limits of their own, or those of the seeds.
    fn try_under<O: Reference + Kernels>(
        &self,
        machine: Machine,
        mutant: &Mutant,
        first: u64,
        forced: Option<Profile>,
    ) -> Result<Fate, Unfit> {
        let all = self
            .shelf
            .get((O::NAME, "candidates", first, forced), || Candidate::all::<O>(first, self.gpu.limits(), forced));
        let reaches =
            |c: &&Candidate| c.files.contains(&mutant.target) && mutant.shows_in(&c.text) && c.is_for(machine);
        let mut reaching: Vec<_> = all.iter().filter(reaches).collect();
        if self.planted {
            // under limits that are forced, what they are forced for
            let word = forced.map_or("", |limits| if limits == CUT { SPLIT } else { SHARES });
            reaching.retain(|c| c.text.contains(word));
            reaching = spread(reaching, PLANTED_TRIES);
        }
        let mut tried = 0;
        for candidate in reaching {
            if !self.planted && tried >= TRIES {
                break;
            }
            let seed = candidate.seed;
            let profile = forced.unwrap_or_else(|| Profile::of(seed));
            let prepared = self.shelf.get((O::NAME, "prepared", seed, None), || Prepared::<O>::new(seed));
            let op = &prepared.case.op;
            let limits = profile.limits(self.gpu.limits(), &op.cost());
            let plan = op.plan(&limits).map_err(|e| e.to_string())?;
            if machine == Machine::Adapter && !Candidate::compiles_soon(&plan) {
                continue;
            }
            let what = if machine == Machine::Adapter { "sound" } else { "sound, interpreted" };
            let sound = self.shelf.get((O::NAME, what, seed, forced), || {
                self.rejection(machine, &prepared, &plan, &limits).unwrap_or_else(|e| Some(e.to_string()))
            });
            if let Some(fault) = sound.as_ref() {
                return Err(Unfit::Fault(format!("{} seed {seed} fails without the mutant: {fault}", O::NAME)));
            }
            let mutated = mutant.mutate(&plan)?;
            tried += 1;
            let how = self.rejection(machine, &prepared, &mutated, &limits);
            mutated.steps.iter().filter(|s| s.name.ends_with(mutant.name)).for_each(|s| self.programs.forget(&s.name));
            if let Some(how) = how? {
                return Ok(Fate::Rejected(format!("{machine}, {} seed {seed} [{}]: {how}", O::NAME, op.label())));
            }
        }
        Ok(if tried == 0 { Fate::Unreached } else { Fate::Survived(tried) })
    }

    /// Whether the adapter has what a mutant's target is for.
    pub fn can_run(&self, mutant: &Mutant) -> bool {
        !mutant.needs_matrix_units() || self.gpu.limits().matrix.is_some()
    }

    /// Runs a mutant against cases that reach it until one rejects it.
    ///
    /// # Errors
    /// If it no longer fits its target, or a case fails without it.
    pub fn fate(&self, mutant: &Mutant) -> Result<Fate, String> {
        let mut tried = 0;
        for &machine in self.machines.iter().filter(|m| **m == Machine::Adapter || !mutant.needs_matrix_units()) {
            macro_rules! try_each {
                ($($op:ty),*) => {$(
                    if mutant.op.is_empty() || mutant.op == <$op as gatefold_core::Op>::NAME {
                        match self.try_op::<$op>(machine, mutant) {
                            Ok(Fate::Unreached) => {}
                            Ok(Fate::Survived(cases)) => tried += cases,
                            Ok(fate) => return Ok(fate),
                            Err(Unfit::Invalid(why)) => return Ok(Fate::Invalid(why)),
                            Err(Unfit::Fault(why)) => return Err(why),
                        }
                    }
                )*};
            }
            for_each_op!(try_each);
        }
        Ok(if tried == 0 { Fate::Unreached } else { Fate::Survived(tried) })
    }

    /// The same of one that must be rejected. How it was.
    ///
    /// # Errors
    /// If it survives, is reached by no case, does not compile, no longer fits its target, or a case fails without it.
    pub fn run(&self, mutant: &Mutant) -> Result<String, String> {
        match self.fate(mutant)? {
            Fate::Rejected(how) => Ok(how),
            Fate::Survived(tried) => Err(format!("survived {tried} cases: {}", mutant.fault)),
            Fate::Unreached => Err(format!("no case reaches {} with {:?}", mutant.target, mutant.reach)),
            Fate::Invalid(why) => Err(format!("does not compile: {why}")),
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
