//! Kernels that overwrite their workgroup memory before they end compute what the others do: every op, bit by bit.

use gatefold_core::{Op, for_each_op};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::{Kernels, PlanError};
use gatefold_tests::compare::same_bits;
use gatefold_tests::conformance::some_planned;
use gatefold_tests::run_case::run_poisoned;
use gatefold_wgpu::{Gpu, Options};
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
        let case = O::case(seed);
        let plan = match case.op.plan(plain.limits()) {
            Err(PlanError::Feature { .. }) => continue,
            plan => plan.unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME)),
        };
        let run = |gpu: &Gpu| {
            let (outputs, faults) =
                run_poisoned(gpu, &case, &plan).unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME));
            assert_eq!(faults, Vec::<String>::new(), "{} seed {seed}", O::NAME);
            outputs
        };
        same_bits(&run(plain), &run(scrubbing)).unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME));
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
    println!("cases that gave the same bits with scrub_locals as without: {ran:?}");
}
