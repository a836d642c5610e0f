//! Plans of routing: what only the device has seen, the same bits in every run, and the most assignments there may be.

use gatefold_core::routing::{DropPolicy, ELSEWHERE, NO_EXPERT, NO_ROW};
use gatefold_core::{Op, RoutingPlan, SpecError, Tensor, Tensors};
use gatefold_cpu_ref::data::Rng;
use gatefold_cpu_ref::outputs;
use gatefold_tests::compare::same_bits;
use gatefold_tests::gpu;
use gatefold_wgpu::{Kernels, Ran, RunOptions};

fn ints(op: &RoutingPlan, mut draw: impl FnMut(usize) -> u32) -> Tensor {
    let all: Vec<u32> = (0..op.assignments()).map(&mut draw).collect();
    Tensor::u32([op.tokens, op.top_k], all).unwrap()
}

fn floats(op: &RoutingPlan, mut draw: impl FnMut() -> f32) -> Tensor {
    let all: Vec<f32> = (0..op.assignments()).map(|_| draw()).collect();
    Tensor::f32([op.tokens, op.top_k], all).unwrap()
}

fn expert(rng: &mut Rng, op: &RoutingPlan) -> u32 {
    u32::try_from(rng.below(op.experts)).unwrap()
}

/// Runs unchecked inputs between guard zones.
fn run(op: &RoutingPlan, inputs: &Tensors) -> Ran {
    let options = RunOptions { guard: true, poison: Some(0xffff_fffe), ..RunOptions::default() };
    let plan = gpu().plan(op).unwrap();
    let ran = gpu().run_plan(&plan, &op.operands(), inputs, &options).unwrap();
    assert_eq!(ran.faults, Vec::<String>::new(), "{op:?}");
    ran
}

/// Every plan that goes another way: by position or by weight, with blocks, of few tiles and of many.
fn every_way() -> Vec<RoutingPlan> {
    let base = RoutingPlan::new(500, 3, 70);
    let by_weight = RoutingPlan { capacity: Some(11), drop: DropPolicy::Weight, ..base.clone() };
    vec![
        RoutingPlan { capacity: Some(9), block: 16, ..base.clone() },
        RoutingPlan { block: 4, ..by_weight.clone() },
        by_weight,
        RoutingPlan::new(40_000, 2, 5),
        RoutingPlan { capacity: Some(3000), drop: DropPolicy::Weight, block: 64, ..RoutingPlan::new(40_000, 2, 5) },
        base,
    ]
}

/// Indices that mean nothing are passed over and reported; all else is as if their slots were empty.
#[test]
fn indices_that_mean_nothing_are_reported() {
    for op in every_way() {
        let mut rng = Rng::new(11, 3);
        let experts = u32::try_from(op.experts).unwrap();
        let hostile = [experts, experts + 1, NO_EXPERT - 1, 0x4000_0000, 65_536, 1024];
        let indices = ints(&op, |at| match rng.below(4) {
            0 if at > 100 => rng.pick(&hostile),
            1 => rng.pick(&[NO_EXPERT, ELSEWHERE, u32::MAX, ELSEWHERE | experts]),
            _ => expert(&mut rng, &op),
        });
        let given = indices.as_u32().unwrap();
        let is_hostile = |&i: &u32| i >= experts && i < NO_EXPERT;
        let (first, count) =
            (given.iter().position(is_hostile).unwrap(), given.iter().filter(|i| is_hostile(i)).count());
        let weights = op.by_weight().then(|| floats(&op, || rng.normal()));
        let inputs = Tensors::new().with("indices", indices.clone()).with_some("weights", weights.clone());
        assert!(matches!(op.check_inputs(&inputs), Err(SpecError::Value { index, .. }) if index == first));

        let made = run(&op, &inputs).outputs;
        let sound = ints(&op, |at| if is_hostile(&given[at]) { NO_EXPERT } else { given[at] });
        let mut want = outputs(&op, &Tensors::new().with("indices", sound).with_some("weights", weights));
        let reported = [u32::try_from(count).unwrap(), u32::try_from(first).unwrap()];
        want.insert("rejected", Tensor::u32([2], reported.to_vec()).unwrap());
        same_bits(&want, &made).unwrap();
        let error = op.check_outputs(&made).unwrap_err();
        let wanted = matches!(error, SpecError::BadIndex { operand: "indices", first: f, count: c, .. } if (f, c) == (first, count));
        assert!(wanted, "{error}");
    }
}

/// Nothing but mistakes, and weights that are NaN: nothing is written where it should not be, and a NaN gives way to any number.
#[test]
fn nothing_but_mistakes() {
    for op in every_way() {
        let weights = op.by_weight().then(|| floats(&op, || f32::NAN));
        let indices = ints(&op, |at| NO_EXPERT - 1 - u32::try_from(at % 9).unwrap());
        let made = run(&op, &Tensors::new().with("indices", indices).with_some("weights", weights)).outputs;
        assert!(made["permutation"].as_u32().unwrap().iter().all(|&a| a == NO_ROW));
        assert!(made["inverse"].as_u32().unwrap().iter().all(|&r| r == NO_ROW));
        assert_eq!(made["rejected"].as_u32().unwrap(), [u32::try_from(op.assignments()).unwrap(), 0]);
    }
    let op = RoutingPlan { capacity: Some(3), drop: DropPolicy::Weight, ..RoutingPlan::new(6, 1, 1) };
    let nan = [f32::NAN, f32::NEG_INFINITY, f32::from_bits(0xffc0_0001), f32::NAN, -1.0, f32::NAN];
    let weights = Tensor::f32([6, 1], nan.to_vec()).unwrap();
    let made = run(&op, &Tensors::new().with("indices", ints(&op, |_| 0)).with("weights", weights)).outputs;
    assert_eq!(made["permutation"].as_u32().unwrap(), [0, 1, 4]);
}

/// Fifty runs, one result.
#[test]
fn runs_are_bit_equal() {
    for op in every_way() {
        let mut rng = Rng::new(5, 5);
        let indices = ints(&op, |_| expert(&mut rng, &op));
        let weights = op.by_weight().then(|| floats(&op, || rng.pick(&[0.25, 0.5, 0.5, 0.75])));
        let inputs = Tensors::new().with("indices", indices).with_some("weights", weights);
        let first = gpu().run_tensors(&op, &inputs).unwrap();
        same_bits(&outputs(&op, &inputs), &first).unwrap();
        for _ in 1..50 {
            same_bits(&first, &gpu().run_tensors(&op, &inputs).unwrap()).unwrap();
        }
    }
}

/// What a plan must be, checked in one pass over it: the definition's loops would take too long.
fn check_large(op: &RoutingPlan, given: &[u32], made: &Tensors) {
    let words = |name: &str| made[name].as_u32().unwrap();
    let (offsets, permutation, inverse) = (words("offsets"), words("permutation"), words("inverse"));
    let mut counts = vec![0u32; op.experts];
    let capacity = op.capacity.map_or(u32::MAX, |c| u32::try_from(c).unwrap());
    for (at, &index) in given.iter().enumerate() {
        let rank = &mut counts[index as usize];
        let row = if *rank < capacity { offsets[index as usize] + *rank } else { NO_ROW };
        assert_eq!(inverse[at], row, "assignment {at}");
        assert!(row == NO_ROW || permutation[row as usize] as usize == at, "row {row}");
        *rank += 1;
    }
    assert_eq!(words("counts"), counts);
    let rows: Vec<u32> =
        counts.iter().map(|&n| n.min(capacity).next_multiple_of(u32::try_from(op.block).unwrap())).collect();
    assert!(offsets.windows(2).map(|w| w[1] - w[0]).eq(rows.iter().copied()));
    let kept: u64 = counts.iter().map(|&n| u64::from(n.min(capacity))).sum();
    assert_eq!(permutation.iter().filter(|&&a| a != NO_ROW).count() as u64, kept);
}

/// 2²⁴ assignments to 1024 experts.
#[test]
#[ignore = "long: minutes on a software driver"]
fn the_most_assignments() {
    let base = RoutingPlan { block: 16, ..RoutingPlan::new(1 << 21, 8, 1024) };
    for op in [base.clone(), RoutingPlan { capacity: Some(16_000), block: 1, ..base }] {
        let mut rng = Rng::new(24, 24);
        let indices = ints(&op, |_| expert(&mut rng, &op));
        let inputs = Tensors::new().with("indices", indices.clone());
        let made = gpu().run_tensors(&op, &inputs).unwrap();
        check_large(&op, indices.as_u32().unwrap(), &made);
        if op.capacity.is_some() {
            // equal weights: the first stay
            let by_weight = RoutingPlan { drop: DropPolicy::Weight, ..op.clone() };
            let weighed = gpu().run_tensors(&by_weight, &inputs.with("weights", floats(&op, || 0.5))).unwrap();
            same_bits(&made, &weighed).unwrap();
        }
    }
}

/// WebGPU's default limits hold the largest plan: no binding is too large and no loop too long.
#[test]
fn the_largest_plan_fits_webgpus_defaults() {
    let limits = gatefold_wgpu::Limits::webgpu_default();
    let base = RoutingPlan::new(1 << 21, 8, 1024);
    let by_weight = RoutingPlan { capacity: Some(20_000), drop: DropPolicy::Weight, ..base.clone() };
    for op in [base, by_weight, RoutingPlan::new(1 << 24, 1, 1)] {
        let plan = op.plan(&limits).unwrap();
        let trips = plan.steps.iter().map(|s| s.trips).max();
        println!("{} {}: {} bytes, {trips:?} trips", op.label(), op.size_label(), plan.extra_bytes());
    }
}
