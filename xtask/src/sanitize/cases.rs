//! Which cases are interpreted: small ones that between them reach as many variants as they can.

use std::collections::BTreeSet;

use gatefold_cpu_ref::case::HALVES;
use gatefold_cpu_ref::{Case, Reference};
use gatefold_shaders::{DeviceKind, Kernels, Limits, Plan};
use gatefold_tests::interpreter::{groups, work};

/// Limits to plan with, by name. None has matrix units: the interpreter does not know them.
pub(crate) fn profiles() -> Vec<(&'static str, Limits)> {
    let browser = Limits::webgpu_default();
    let gpu =
        Limits { f16: true, subgroup: Some(32), workgroup_memory: 32 << 10, invocations: 1024, ..browser.clone() };
    let cpu = Limits { kind: DeviceKind::Cpu, f16: true, subgroup: Some(8), offset_alignment: 32, ..browser.clone() };
    let squeezed = Limits {
        f16: true,
        groups_per_dim: 16,
        workgroup_memory: 8 << 10,
        binding_bytes: 16 << 10,
        loop_trips: 2_000,
        dispatch_seconds: 2e-5,
        busy_groups: 6,
        least_share: 16,
        ..browser.clone()
    };
    vec![
        ("cpu8", cpu.clone()),
        ("browser", browser),
        ("cpu4", Limits { subgroup: Some(4), ..cpu.clone() }),
        ("squeezed", squeezed),
        ("gpu", gpu),
        ("cpu plain", Limits { subgroup: None, ..cpu }),
    ]
}

/// Cases that found something once: op, seed, profile. Always interpreted.
const FOUND_ONCE: [(&str, u64, &str); 2] = [
    // a row without a normaliser read its share from a word that others were writing row sums to
    ("attention_backward", HALVES + 734, "browser"),
    // of a packed sequence that is empty and the last, rows beyond the end were read
    ("attention_backward", 1106, "browser"),
];

/// A case and the limits that it is planned with.
pub(crate) struct Chosen<O> {
    pub(crate) case: Case<O>,
    pub(crate) profile: &'static str,
    pub(crate) subgroup: u32,
    pub(crate) plan: Plan,
}

/// What is chosen, and which variants there are.
pub(crate) struct Choice<O> {
    pub(crate) chosen: Vec<Chosen<O>>,
    /// Variants of all cases and profiles, whatever their size.
    pub(crate) known: BTreeSet<String>,
}

/// How much is interpreted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Largest case, in floating-point operations by definition.
    pub(crate) flops: f64,
    /// Most workgroups of a plan, all dispatches together.
    pub(crate) groups: u64,
    /// Most cases of an op.
    pub(crate) cases: usize,
    /// Seeds looked at after the planned ones.
    pub(crate) drawn: u64,
}

impl Effort {
    pub(crate) fn of(full: bool) -> Self {
        if full {
            Self { flops: 5e6, groups: 4_000, cases: usize::MAX, drawn: 400 }
        } else {
            Self { flops: 2e5, groups: 400, cases: 24, drawn: 40 }
        }
    }
}

fn names(plan: &Plan) -> impl Iterator<Item = &String> {
    plan.steps.iter().map(|s| &s.name)
}

/// A seed that is small enough: its work, and what its plans reach.
struct Candidate {
    seed: u64,
    flops: f64,
    /// By profile: the variants.
    reaches: Vec<(usize, Vec<String>)>,
}

/// Looks at the cases of an op and chooses.
pub(crate) fn choose<O: Reference + Kernels>(effort: Effort) -> Choice<O> {
    let profiles = profiles();
    let (mut known, mut candidates) = (BTreeSet::new(), Vec::new());
    for seed in (0..O::PLANNED + effort.drawn).chain(HALVES..HALVES + O::PLANNED) {
        let op = O::case(seed).op;
        let flops = work(&op);
        let mut reaches = Vec::new();
        for (index, (_, limits)) in profiles.iter().enumerate() {
            let Ok(plan) = op.plan(limits) else { continue };
            known.extend(names(&plan).cloned());
            if groups(&plan) > effort.groups {
                continue;
            }
            reaches.push((index, names(&plan).cloned().collect()));
        }
        if flops <= effort.flops {
            candidates.push(Candidate { seed, flops, reaches });
        }
    }
    candidates.sort_by(|a, b| a.flops.total_cmp(&b.flops));
    let mut pairs = spread(cover(&candidates), effort.cases);
    let profile = |name: &str| profiles.iter().position(|p| p.0 == name).expect("a profile's name");
    pairs.extend(FOUND_ONCE.iter().filter(|f| f.0 == O::NAME).map(|f| (f.1, profile(f.2))));
    Choice { chosen: planned(pairs), known }
}

/// The cases of these seeds, with every profile that has a plan for them.
pub(crate) fn choose_seeds<O: Reference + Kernels>(seeds: &[u64]) -> Choice<O> {
    let all = 0..profiles().len();
    let chosen = planned::<O>(seeds.iter().flat_map(|&seed| all.clone().map(move |profile| (seed, profile))));
    let known = chosen.iter().flat_map(|c| names(&c.plan)).cloned().collect();
    Choice { chosen, known }
}

/// Of pairs of seed and profile, those that there is a plan for.
fn planned<O: Reference + Kernels>(pairs: impl IntoIterator<Item = (u64, usize)>) -> Vec<Chosen<O>> {
    let profiles = profiles();
    let plan = |(seed, profile): (u64, usize)| {
        let case = O::case(seed);
        let (name, limits) = &profiles[profile];
        let plan = case.op.plan(limits).ok()?;
        Some(Chosen { case, profile: name, subgroup: limits.subgroup.unwrap_or(32), plan })
    };
    pairs.into_iter().filter_map(plan).collect()
}

/// Pairs of seed and profile of which each reaches a variant that those before do not.
fn cover(candidates: &[Candidate]) -> Vec<(u64, usize)> {
    let (mut reached, mut pairs) = (BTreeSet::new(), Vec::new());
    for candidate in candidates {
        for (profile, variants) in &candidate.reaches {
            if variants.iter().any(|name| !reached.contains(name)) {
                reached.extend(variants);
                pairs.push((candidate.seed, *profile));
            }
        }
    }
    pairs
}

/// At most `most` of them, from all over the list.
fn spread<T: Copy>(all: Vec<T>, most: usize) -> Vec<T> {
    if all.len() <= most {
        return all;
    }
    (0..most).map(|i| all[i * all.len() / most]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_brings_something() {
        let candidate = |seed, reaches: &[(usize, &[&str])]| Candidate {
            seed,
            flops: 0.0,
            reaches: reaches.iter().map(|(p, v)| (*p, v.iter().map(ToString::to_string).collect())).collect(),
        };
        let all = [candidate(1, &[(0, &["a"]), (1, &["a"])]), candidate(2, &[(0, &["a", "b"])])];
        assert_eq!(cover(&all), [(1, 0), (2, 0)]);
        assert_eq!(spread(vec![0, 1, 2, 3, 4, 5], 3), [0, 2, 4]);
    }
}
