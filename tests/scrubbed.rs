//! Kernels that overwrite their workgroup memory before they end compute what the others do: every op, bit by bit.

use std::sync::OnceLock;

use gatefold_core::{Op, for_each_op};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::{Kernels, PlanError};
use gatefold_tests::compare::same_bits;
use gatefold_tests::conformance::some_planned;
use gatefold_tests::gpu;
use gatefold_tests::run_case::run_poisoned;
use gatefold_wgpu::{Gpu, Options};

fn scrubbing() -> &'static Gpu {
    static GPU: OnceLock<Gpu> = OnceLock::new();
    GPU.get_or_init(|| Gpu::open(&Options { scrub_locals: true, ..Options::default() }).unwrap())
}

/// Some planned cases of one op, each with and without; how many ran.
fn run_some<O: Reference + Kernels>() -> usize {
    let mut ran = 0;
    for seed in some_planned::<O>().step_by(4) {
        let case = O::case(seed);
        let plan = match case.op.plan(gpu().limits()) {
            Err(PlanError::Feature { .. }) => continue,
            plan => plan.unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME)),
        };
        let run = |gpu: &Gpu| {
            let (outputs, faults) =
                run_poisoned(gpu, &case, &plan).unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME));
            assert_eq!(faults, Vec::<String>::new(), "{} seed {seed}", O::NAME);
            outputs
        };
        same_bits(&run(gpu()), &run(scrubbing())).unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME));
        ran += 1;
    }
    ran
}

#[test]
fn every_op_computes_the_same_bits_when_it_scrubs() {
    let mut all = 0;
    macro_rules! run {
        ($($op:ty),*) => {$({
            let ran = run_some::<$op>();
            assert!(ran > 0, "{}", <$op as Op>::NAME);
            all += ran;
        })*};
    }
    for_each_op!(run);
    println!("{all} cases of every op gave the same bits with scrub_locals as without");
}
