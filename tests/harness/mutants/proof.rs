//! Runs mutants against the cases that reach them.

use gatefold_core::for_each_op;
use gatefold_cpu_ref::Reference;
use gatefold_cpu_ref::case::HALVES;
use gatefold_cpu_ref::data::Rng;
use gatefold_shaders::{Kernels, Limits, Plan};
use gatefold_wgpu::{Gpu, RunError};

use super::Mutant;
use super::candidates::{Candidate, Shelf, spread};

use crate::compare::compare;
use crate::interpreter::{How, Programs, execute};
use crate::profile::Profile;
use crate::run_case::{Prepared, run_poisoned};
use crate::spoil;

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

/// What runs a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
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

    /// The same with a NaN in one of the case's inputs, if the sound plan is right with it.
    fn rejection_spoiled<O: Reference + Kernels>(
        &self,
        machine: Machine,
        prepared: &Prepared<O>,
        [sound, mutated]: [&Plan; 2],
        limits: &Limits,
        forced: Option<Profile>,
    ) -> Result<Option<String>, Unfit> {
        let case = &prepared.case;
        let spoiled = self.shelf.get((O::NAME, "spoiled", case.seed, None), || {
            let (names, mut rng) = (spoil::inputs(case), Rng::new(case.seed, 8));
            let name = names.get(rng.below(names.len()))?;
            spoil::spoiled(case, name, &mut rng).map(|(case, _)| Prepared::of(case))
        });
        let Some(spoiled) = spoiled.as_ref() else { return Ok(None) };
        let is_sound = self.shelf.get((O::NAME, "sound, spoiled", case.seed, forced), || {
            matches!(self.rejection(machine, spoiled, sound, limits), Ok(None))
        });
        if *is_sound { self.rejection(machine, spoiled, mutated, limits) } else { Ok(None) }
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
            let mut how = self.rejection(machine, &prepared, &mutated, &limits);
            if self.planted && matches!(how, Ok(None)) {
                how = self.rejection_spoiled(machine, &prepared, [&plan, &mutated], &limits, forced);
            }
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
