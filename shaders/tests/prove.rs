//! Every variant that the profiles of limits reach, where it is first met: which are proven to need no runtime checks, and why the others are not.

mod specs;

use std::collections::{BTreeMap, BTreeSet};

use gatefold_core::for_each_op;
use gatefold_shaders::Kernels;
use gatefold_shaders::link::link;
use gatefold_shaders::prove::{bound_bytes, prove};
use specs::{Specs, in_parallel, profiles};

/// Least share of our variants that is proven, in percent. All of them.
const LEAST_SHARE: usize = 100;

#[derive(Default)]
struct Seen {
    variants: BTreeSet<String>,
    proven: BTreeSet<String>,
    /// What is not proven, by place: in how many variants, and in which first.
    findings: BTreeMap<String, (usize, String)>,
}

impl Seen {
    /// Both.
    fn with(mut self, other: Self) -> Self {
        self.proven.extend(other.proven);
        self.variants.extend(other.variants);
        for (at, (n, place)) in other.findings {
            self.findings.entry(at).or_insert((0, place)).0 += n;
        }
        self
    }

    fn visit<O: Kernels + Specs>(&mut self) {
        for op in O::specs() {
            for (profile, limits) in profiles() {
                let Ok(plan) = op.plan(&limits) else { continue };
                let operands = op.operands();
                for step in &plan.steps {
                    let is_ours = step.slots.iter().all(|file| !file.path.starts_with("custom/"));
                    assert_eq!(step.proven, is_ours, "{}: every kernel but a user's is claimed", step.name);
                    if !is_ours || !self.variants.insert(step.name.clone()) {
                        continue;
                    }
                    let module = link(step).unwrap();
                    let bytes = |dispatch: &_, name: &str| bound_bytes(&plan, step, &operands, dispatch, name);
                    let proof = prove(&module, step, &bytes);
                    if proof.holds() {
                        self.proven.insert(step.name.clone());
                    }
                    for f in proof.unproven {
                        let place = format!("{f} in {} ({profile}: {} {})", step.name, op.label(), op.size_label());
                        self.findings.entry(format!("{}:{}", f.file, f.line)).or_insert((0, place)).0 += 1;
                    }
                }
            }
        }
    }
}

/// Every op, as many at a time as there are cores. Ops share few variants: those are counted once.
fn seen() -> Seen {
    let mut visits: Vec<fn(&mut Seen)> = Vec::new();
    macro_rules! visit {
        ($($op:ty),*) => {$( visits.push(Seen::visit::<$op>); )*};
    }
    for_each_op!(visit);
    in_parallel(&visits, Seen::with)
}

#[test]
fn claims_are_proven() {
    let seen = seen();
    let (proven, all) = (seen.proven.len(), seen.variants.len());
    println!("{proven} of {all} variants are proven");
    for (at, (n, place)) in &seen.findings {
        println!("{n:6} variants: {at}: {place}");
    }
    assert!(all > 100, "only {all} variants");
    assert!(proven * 100 >= all * LEAST_SHARE, "{proven} of {all} variants are proven");
}
