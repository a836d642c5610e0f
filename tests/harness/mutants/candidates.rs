//! Cases that may reach a mutant, and what has been found out about them.

use std::any::Any;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use gatefold_cpu_ref::Reference;
use gatefold_shaders::link::expand;
use gatefold_shaders::{Kernels, Limits, Plan};
use rayon::prelude::*;

use super::proof::Machine;
use crate::interpreter::{groups, work};
use crate::profile::Profile;

/// Seeds that are searched for cases that reach a mutant.
const SEEDS: u64 = 1_000;

/// Largest case that is used, in FLOPs by definition: mutants show in small cases.
const MAX_FLOPS: f64 = 2e7;

/// Longest kernels that are used, in bytes of WGSL of all steps: the rest take too long to compile.
const MAX_WGSL: usize = 440_000;

/// Largest case that is interpreted, in FLOPs or numbers moved, and its most workgroups.
const INTERPRETED_FLOPS: f64 = 1e6;
const INTERPRETED_GROUPS: u64 = 400;

/// What there is to know about a case without running it.
pub(super) struct Candidate {
    pub(super) seed: u64,
    pub(super) text: String,
    /// Files of its kernels.
    pub(super) files: Vec<&'static str>,
    /// Hashes of the words of its text, but for numbers.
    words: Vec<u64>,
    /// What it computes, and what it moves.
    work: f64,
    /// Workgroups of all dispatches.
    groups: u64,
}

impl Candidate {
    fn new<O: Reference + Kernels>(seed: u64, adapter: &Limits, profile: Profile) -> Option<Self> {
        let case = O::case(seed);
        let cost = case.op.cost();
        let plan = case.op.plan(&profile.limits(adapter, &cost)).ok()?;
        let spec = serde_json::to_string(&case.op).unwrap_or_default();
        let mut text = format!("{} | {} | {profile} | {spec}", case.op.label(), case.note);
        for step in &plan.steps {
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
        let files =
            plan.steps.iter().flat_map(|s| std::iter::once(&s.kernel).chain(&s.slots)).map(|s| s.path).collect();
        let words = words(&text);
        Some(Self { seed, text, files, words, work: work(&case.op), groups: groups(&plan) })
    }

    /// Whether it is small enough to be run there.
    pub(super) fn is_for(&self, machine: Machine) -> bool {
        match machine {
            Machine::Interpreter => self.work < INTERPRETED_FLOPS && self.groups < INTERPRETED_GROUPS,
            Machine::Adapter => self.work < MAX_FLOPS,
        }
    }

    /// Whether a driver compiles the kernels of its plan in reasonable time: wide heads are unrolled into very long ones.
    pub(super) fn compiles_soon(plan: &Plan) -> bool {
        plan.steps.iter().map(|s| expand(s).map_or(0, |text| text.len())).sum::<usize>() < MAX_WGSL
    }

    /// Those of an op from a seed on.
    pub(super) fn all<O: Reference + Kernels>(first: u64, adapter: &Limits, forced: Option<Profile>) -> Vec<Self> {
        let seeds = (first..first + SEEDS).into_par_iter();
        let one = |seed| Self::new::<O>(seed, adapter, forced.unwrap_or_else(|| Profile::of(seed)));
        seeds.filter_map(one).collect()
    }
}

/// Hashes of what a description says, but for numbers.
fn words(text: &str) -> Vec<u64> {
    let apart = |c: char| c.is_whitespace() || ",.{}[]|".contains(c);
    let is_number = |word: &str| word.rsplit(':').next().is_some_and(|end| end.parse::<f64>().is_ok());
    let hash = |word: &str| {
        let mut hasher = DefaultHasher::new();
        word.hash(&mut hasher);
        hasher.finish()
    };
    text.split(apart).filter(|w| !w.is_empty() && !is_number(w)).map(hash).collect()
}

/// So many of these, each that which has most of what those before it have not; once that is nothing, from the beginning.
pub(super) fn spread(mut from: Vec<&Candidate>, most: usize) -> Vec<&Candidate> {
    let (mut chosen, mut seen) = (Vec::new(), HashSet::new());
    while chosen.len() < most && !from.is_empty() {
        let news = |c: &Candidate| c.words.iter().filter(|w| !seen.contains(*w)).count();
        let best = (0..from.len()).rev().max_by_key(|&at| news(from[at])).unwrap_or(0);
        if news(from[best]) == 0 && !seen.is_empty() {
            seen.clear();
            continue;
        }
        let next = from.remove(best);
        seen.extend(next.words.iter().copied());
        chosen.push(next);
    }
    chosen
}

/// Cases that were looked at or run already.
#[derive(Default)]
pub(super) struct Shelf(Mutex<HashMap<Key, Arc<dyn Any + Send + Sync>>>);

/// Op, what of it, seed, and the limits, if they are not the seed's.
pub(super) type Key = (&'static str, &'static str, u64, Option<Profile>);

impl Shelf {
    pub(super) fn get<T: Send + Sync + 'static>(&self, key: Key, make: impl FnOnce() -> T) -> Arc<T> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = lock().get(&key).cloned().and_then(|found| found.downcast().ok());
        stored.unwrap_or_else(|| {
            let made = Arc::new(make());
            lock().insert(key, made.clone());
            made
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_comes_first() {
        let of = |seed, text: &str| Candidate {
            seed,
            text: text.to_string(),
            files: Vec::new(),
            words: words(text),
            work: 0.0,
            groups: 0,
        };
        let all = [of(0, "softmax.f32 | seq:3"), of(1, "softmax.f32 | seq:4"), of(2, "sigmoid.f32 NaN key")];
        let order: Vec<u64> = spread(all.iter().collect(), 3).iter().map(|c| c.seed).collect();
        assert_eq!(order, [2, 0, 1]);
    }
}
