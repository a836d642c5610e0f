//! Kernels that overwrite their workgroup memory before they end compute what the others do: every op, bit by bit where compilers join a product
//! and a sum in all kernels or in none, and within the bounds of the reference elsewhere.

use gatefold_core::{Op, for_each_op};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::{Kernels, PlanError};
use gatefold_tests::compare::{compare, same_bits};
use gatefold_tests::conformance::some_planned;
use gatefold_tests::run_case::{Prepared, run_poisoned};
use gatefold_wgpu::{AdapterKind, Gpu, Options};
use rayon::prelude::*;

/// A device whose kernels scrub, or do not.
fn device(scrub_locals: bool) -> Gpu {
    Gpu::open(&Options { scrub_locals, ..Options::default() }).unwrap()
}

/// Runs some cases of one op on both devices.
type Visit = fn(&[Gpu; 2]) -> usize;

/// Some planned cases of one op, each with and without; how many ran.
fn run_some<O: Reference + Kernels>([plain, scrubbing]: &[Gpu; 2]) -> usize {
    let mut ran = 0;
    for seed in some_planned::<O>(8) {
        let prepared = Prepared::<O>::new(seed);
        let case = &prepared.case;
        let plan = match case.op.plan(plain.limits()) {
            Err(PlanError::Feature { .. }) => continue,
            plan => plan.unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME)),
        };
        let run = |gpu: &Gpu| {
            let (outputs, faults) =
                run_poisoned(gpu, case, &plan).unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME));
            assert_eq!(faults, Vec::<String>::new(), "{} seed {seed}", O::NAME);
            outputs
        };
        let (kept, scrubbed) = (run(plain), run(scrubbing));
        if plain.info().kind == AdapterKind::Cpu {
            same_bits(&kept, &scrubbed).unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME));
        }
        let found = compare(prepared.exact_for(&plan), &scrubbed);
        let found = found.unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME));
        assert!(found.ratio <= 1.0, "{} seed {seed}: {}", O::NAME, found.describe());
        ran += 1;
    }
    ran
}

#[test]
fn every_op_computes_the_same_bits_when_it_scrubs() {
    let mut visits: Vec<(&str, Visit)> = Vec::new();
    macro_rules! visit {
        ($($op:ty),*) => {$( visits.push((<$op>::NAME, run_some::<$op>)); )*};
    }
    for_each_op!(visit);
    // a driver compiles on one core a device
    let devices = || [device(false), device(true)];
    let ran: Vec<_> = visits.par_iter().map_init(devices, |gpus, (name, run)| (*name, run(gpus))).collect();
    assert!(ran.iter().all(|(_, ran)| *ran > 0), "{ran:?}");
    println!("cases that are right with scrub_locals, and on software drivers the same bits as without: {ran:?}");
}
