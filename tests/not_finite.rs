//! A NaN anywhere: one element of one input of a case is made a NaN, and the outputs must be those of the reference, which passes it on as f64 does. In
//! the interpreter, so that every op, input and plan can be asked without a driver's compiler.

use gatefold_core::{Op, for_each_op};
use gatefold_cpu_ref::data::Rng;
use gatefold_cpu_ref::{Reference, bounded_as};
use gatefold_shaders::{Kernels, Limits};
use gatefold_tests::compare::compare;
use gatefold_tests::conformance::some_planned;
use gatefold_tests::gpu;
use gatefold_tests::interpreter::{How, Programs, execute, groups, work};
use gatefold_tests::profile::Profile;
use gatefold_tests::spoil::{inputs, spoiled};
use rayon::prelude::*;

/// Inputs that are spoiled, one at a time, of an op.
const INPUTS: usize = 60;

/// Largest case, in FLOPs or numbers moved, and its most workgroups.
const WORK: f64 = 3e5;
const GROUPS: u64 = 200;

/// Float inputs of some cases, each with one element spoiled: how many there were, and where outputs were wrong.
fn visit<O: Reference + Kernels>(adapter: &Limits) -> (usize, Vec<String>) {
    let (programs, mut ran, mut wrong) = (Programs::default(), 0, Vec::new());
    for seed in some_planned::<O>(400) {
        if ran >= INPUTS {
            break;
        }
        let case = O::case(seed);
        let limits = Profile::of(seed).limits(adapter, &case.op.cost());
        let Ok(plan) = case.op.plan(&limits) else { continue };
        if work(&case.op) > WORK
            || groups(&plan) > GROUPS
            || plan.steps.iter().any(|s| s.matrix)
            || case.is_degenerate()
        {
            continue;
        }
        let mut rng = Rng::new(seed, 7);
        for name in inputs(&case) {
            let Some((case, at)) = spoiled(&case, &name, &mut rng) else { continue };
            let exact = bounded_as(&case.op, &case.inputs, plan.rounds_weights);
            let how = How { subgroup: limits.subgroup.unwrap_or(32), seed, adversary: None };
            let place = format!("{} seed {seed} [{}] {name}[{at}]", O::NAME, case.op.label());
            ran += 1;
            match execute(&programs, &plan, &case.op.operands(), &case.inputs, how) {
                Err(e) => wrong.push(format!("{place}: {e:#}")),
                Ok(out) => match compare(&exact, &out.outputs) {
                    Err(e) => wrong.push(format!("{place}: {e}")),
                    Ok(found) if found.ratio > 1.0 => wrong.push(format!("{place}: {}", found.describe())),
                    Ok(_) => {}
                },
            }
        }
    }
    (ran, wrong)
}

type Visit = fn(&Limits) -> (usize, Vec<String>);

#[test]
fn a_nan_spoils_what_depends_on_it() {
    let mut visits: Vec<(&str, Visit)> = Vec::new();
    macro_rules! visit {
        ($($op:ty),*) => {$( visits.push((<$op>::NAME, visit::<$op>)); )*};
    }
    for_each_op!(visit);
    let found: Vec<_> = visits.par_iter().map(|(name, visit)| (*name, visit(gpu().limits()))).collect();
    for (name, (ran, wrong)) in &found {
        println!("{name}: {ran} inputs, {} wrong", wrong.len());
        wrong.iter().for_each(|w| println!("  {w}"));
    }
    assert!(found.iter().all(|(_, (_, wrong))| wrong.is_empty()));
    let spoiled: usize = found.iter().map(|(_, (ran, _))| ran).sum();
    assert!(spoiled >= 1_000, "{spoiled}");
}
