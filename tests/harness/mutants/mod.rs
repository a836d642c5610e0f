//! Mutants: kernel and slot files with one planted fault. Each must be rejected, or the checker does not check.
//!
//! A mutant replaces a text that occurs exactly once in its target. So it cannot rot unnoticed: when its target changes, it says so.

mod candidates;
pub mod planted;
mod proof;
mod table;

pub use proof::{Fate, Proof};

use gatefold_shaders::{Plan, Source, Step};

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
    pub(super) fn shows_in(&self, text: &str) -> bool {
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
