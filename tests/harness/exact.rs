//! Ops that copy: every number arrives bit by bit.

use gatefold_cpu_ref::{Reference, outputs};
use gatefold_shaders::Kernels;
use gatefold_wgpu::Gpu;

use crate::run_case::run_poisoned;

/// Runs the planned cases of an op and forty drawn ones, and compares all outputs bit by bit; a NaN stays one, but a driver may give it other bits.
/// Says how many ran.
///
/// # Panics
/// At the first bit that differs, and at the first fault of a run.
pub fn run_exactly<O: Reference + Kernels>(gpu: &Gpu) -> usize {
    let mut ran = 0;
    for seed in 0..O::PLANNED + 40 {
        let case = O::case(seed);
        let Ok(plan) = case.op.plan(gpu.limits()) else { continue };
        let (made, faults) = run_poisoned(gpu, &case, &plan).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert_eq!(faults, Vec::<String>::new(), "seed {seed}");
        let want = outputs(&case.op, &case.inputs);
        let same = |(a, b): (f64, f64)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        for (name, want) in want.iter() {
            let all = made[name].to_f64().into_iter().zip(want.to_f64());
            assert!(all.into_iter().all(same), "seed {seed}: {name}");
        }
        ran += 1;
    }
    ran
}
