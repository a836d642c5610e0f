//! The smallest device the library promises to run on, splits, folds and memory.

use gatefold_core::attention::{Dims, Sequences};
use gatefold_core::{Attention, AttentionBackward, Gemm, Op, RowFunction, Rowwise, RowwiseBackward, for_each_op};
use gatefold_cpu_ref::Reference;
use gatefold_shaders::link::link;
use gatefold_shaders::{Kernels, Limits, Plan, PlanError};
use gatefold_tests::compare::compare;
use gatefold_tests::compare::same_bits;
use gatefold_tests::conformance::some_planned;
use gatefold_tests::gpu;
use gatefold_tests::profile::beyond;
use gatefold_tests::repeats::representatives;
use gatefold_tests::run_case::{Prepared, run_poisoned};
use gatefold_wgpu::{Gpu, LimitChoice, Options, RunOptions};
use rayon::prelude::*;

fn minimal() -> Gpu {
    Gpu::open(&Options { limits: LimitChoice::WebGpuDefault, ..Options::default() }).unwrap()
}

/// Runs some cases of one op.
type Visit = fn(&Gpu) -> usize;

/// A dozen planned cases of one op that the device has the features for; how many ran.
fn run_some<O: Reference + Kernels>(gpu: &Gpu) -> usize {
    let plan = |seed: u64| match O::case(seed).op.plan(gpu.limits()) {
        Err(PlanError::Feature { .. }) => None,
        plan => Some((seed, plan.unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME)))),
    };
    let all: Vec<_> = some_planned::<O>(48).filter_map(plan).collect();
    let mut ran = 0;
    for (seed, plan) in all.iter().step_by(all.len().div_ceil(12).max(1)) {
        let prepared = Prepared::<O>::new(*seed);
        let (outputs, faults) =
            run_poisoned(gpu, &prepared.case, plan).unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME));
        assert_eq!(faults, Vec::<String>::new(), "{} seed {seed}", O::NAME);
        let found = compare(prepared.exact_for(plan), &outputs).unwrap();
        assert!(found.ratio <= 1.0, "{} seed {seed}: {}", O::NAME, found.describe());
        ran += 1;
    }
    ran
}

#[test]
fn webgpu_defaults_run_every_op() {
    let limits = minimal().limits().clone();
    let defaults = Limits::webgpu_default();
    assert_eq!((limits.workgroup_memory, limits.invocations), (defaults.workgroup_memory, defaults.invocations));
    assert_eq!((limits.storage_buffers, limits.binding_bytes), (defaults.storage_buffers, defaults.binding_bytes));
    assert_eq!((limits.f16, limits.subgroup, limits.groups_per_dim), (false, None, 65_535));
    let mut visits: Vec<(&str, u64, Visit)> = Vec::new();
    macro_rules! visit {
        ($($op:ty),*) => {$( visits.push((<$op>::NAME, <$op>::PLANNED, run_some::<$op>)); )*};
    }
    for_each_op!(visit);
    let ran = visits.par_iter().map_init(minimal, |gpu, (_, _, run)| run(gpu)).collect::<Vec<_>>();
    for ((name, planned, _), ran) in visits.iter().zip(ran) {
        assert!(ran as u64 >= 6.min(planned / 6), "{name}: {ran}");
    }
}

#[test]
fn f16_is_refused_by_name_where_there_is_none() {
    let spec = Attention { dtype: gatefold_core::Dtype::F16, ..Attention::softmax(Dims::new(1, 1, 4, 8)) };
    let error = spec.plan(&Limits::webgpu_default()).unwrap_err();
    assert!(matches!(&error, PlanError::Feature { feature, .. } if feature.contains("f16")), "{error}");
}

/// Runs the first cases of an op that `wanted` accepts under squeezed limits and compares them.
fn squeezed<O: Reference + Kernels>(limits: &Limits, at_least: usize, wanted: impl Fn(&Plan) -> bool) {
    let mut ran = 0;
    for seed in 0..O::PLANNED + 200 {
        if ran >= at_least {
            return;
        }
        let op = O::case(seed).op;
        let Ok(plan) = op.plan(limits) else { continue };
        if !wanted(&plan) || op.cost().flops > 1e8 {
            continue;
        }
        assert_eq!(beyond(&plan, limits), Vec::<String>::new(), "{} seed {seed}", O::NAME);
        let prepared = Prepared::<O>::new(seed);
        let (outputs, faults) =
            run_poisoned(gpu(), &prepared.case, &plan).unwrap_or_else(|e| panic!("{} seed {seed}: {e}", O::NAME));
        assert_eq!(faults, Vec::<String>::new(), "{} seed {seed}", O::NAME);
        let found = compare(prepared.exact_for(&plan), &outputs).unwrap();
        assert!(found.ratio <= 1.0, "{} seed {seed}: {}", O::NAME, found.describe());
        ran += 1;
    }
    panic!("{}: only {ran} cases of {at_least}", O::NAME);
}

#[test]
fn more_groups_than_fit_in_one_dimension_are_folded() {
    let limits = Limits { groups_per_dim: 8, ..gpu().limits().clone() };
    let folded = |plan: &Plan| plan.steps.iter().flat_map(|s| &s.dispatches).any(|d| d.grid[1] > 1);
    squeezed::<Attention>(&limits, 6, folded);
    squeezed::<AttentionBackward>(&limits, 6, folded);
    squeezed::<Rowwise>(&limits, 4, folded);
    squeezed::<RowwiseBackward>(&limits, 4, folded);
    squeezed::<Gemm>(&limits, 4, folded);
}

#[test]
fn a_million_groups_are_folded() {
    let spec = Rowwise::new(RowFunction::LogSumExp, 3_000_000, 1);
    let plan = spec.plan(&Limits::webgpu_default()).unwrap();
    assert_eq!(beyond(&plan, &Limits::webgpu_default()), Vec::<String>::new());
}

#[test]
fn operands_beyond_a_binding_are_split() {
    let limits = Limits { binding_bytes: 8 << 10, ..gpu().limits().clone() };
    let split = |plan: &Plan| plan.steps.iter().flat_map(|s| &s.dispatches).any(|d| !d.windows.is_empty());
    let scales = |plan: &Plan| {
        let windows = plan.steps.iter().flat_map(|s| &s.dispatches).flat_map(|d| &d.windows);
        windows.into_iter().any(|w| w.operand == "v_scale" && w.offset > 0)
    };
    squeezed::<Attention>(&limits, 6, split);
    squeezed::<Attention>(&limits, 2, scales);
    squeezed::<AttentionBackward>(&limits, 4, split);
    squeezed::<Rowwise>(&limits, 4, split);
    squeezed::<RowwiseBackward>(&limits, 4, split);
    squeezed::<Gemm>(&limits, 12, split);
}

#[test]
fn what_cannot_be_split_is_refused_with_both_numbers() {
    let limits = Limits { binding_bytes: 1 << 10, ..Limits::webgpu_default() };
    let error = Attention::softmax(Dims::new(1, 1, 4_096, 64)).plan(&limits).unwrap_err();
    let PlanError::TooLarge { need, have, .. } = error else { panic!("{error}") };
    assert!(need > have && have == 1 << 10, "{need} {have}");
    let error = Gemm::new(64, 4_096, 64).plan(&limits).unwrap_err();
    assert!(matches!(&error, PlanError::TooLarge { need, have, .. } if need > have), "{error}");
}

#[test]
fn few_loop_trips_are_enough() {
    let limits = Limits { loop_trips: 2_000, ..gpu().limits().clone() };
    let many = |plan: &Plan| plan.steps.iter().any(|s| s.dispatches.len() > 1);
    squeezed::<Attention>(&limits, 6, many);
    squeezed::<AttentionBackward>(&limits, 6, many);
    squeezed::<Gemm>(&Limits { loop_trips: 4, ..limits }, 8, many);
}

#[test]
fn little_time_is_enough() {
    let limits = Limits { dispatch_seconds: 2e-4, mul_adds_per_second: 1e9, ..gpu().limits().clone() };
    let many = |plan: &Plan| plan.steps.iter().any(|s| s.dispatches.len() > 1);
    squeezed::<Attention>(&limits, 6, many);
    squeezed::<AttentionBackward>(&limits, 6, many);
    squeezed::<Rowwise>(&limits, 2, many);
    squeezed::<Gemm>(&limits, 6, many);
}

/// Bytes beside the operands at `seq` and twice that.
fn memory<O: Kernels>(spec: impl Fn(usize) -> O, seq: usize) -> (u64, u64) {
    // A fast adapter, whatever a busy machine has measured: whether work is cut by time is not in question here.
    let limits = Limits { mul_adds_per_second: 1e12, ..gpu().limits().clone() };
    let bytes = |seq| spec(seq).plan(&limits).unwrap().extra_bytes();
    (bytes(seq), bytes(2 * seq))
}

#[test]
fn extra_memory_is_linear_in_the_sequence() {
    let seq = 4_096;
    let softmax = |seq| Attention { lse: true, ..Attention::softmax(Dims::new(1, 2, seq, 64)) };
    let padded = |seq| Attention {
        sequences: Sequences::Padded { q: true, kv: true },
        key_bias: true,
        alibi: true,
        ..Attention::sigmoid(Dims::new(1, 2, seq, 64))
    };
    let found = [
        memory(softmax, seq),
        memory(padded, seq),
        memory(|seq| AttentionBackward::new(softmax(seq)), seq),
        memory(|seq| AttentionBackward::new(padded(seq)), seq),
    ];
    for (single, double) in found {
        assert!(double as f64 <= 2.1 * single as f64 + 4_096.0, "{single} bytes at {seq}, {double} at twice that");
        assert!(double < (2 * seq as u64).pow(2) * 4, "{double} bytes: as much as a matrix of scores");
    }
}

/// A profile: limits by name, on top of the adapter's own.
type Squeeze = (&'static str, fn(&Limits) -> Limits);

const SQUEEZES: [Squeeze; 6] = [
    ("bindings of 16 KiB", |own| Limits { binding_bytes: 16 << 10, ..own.clone() }),
    ("16 groups a dimension", |own| Limits { groups_per_dim: 16, ..own.clone() }),
    ("8 KiB of workgroup memory", |own| Limits { workgroup_memory: 8 << 10, ..own.clone() }),
    ("64 invocations", |own| Limits { invocations: 64, workgroup_size_x: 64, ..own.clone() }),
    ("400 trips and little time", |own| Limits {
        loop_trips: 400,
        dispatch_seconds: 1e-4,
        mul_adds_per_second: 1e9,
        ..own.clone()
    }),
    ("all of that at once", |own| Limits {
        binding_bytes: 64 << 10,
        groups_per_dim: 16,
        workgroup_memory: 8 << 10,
        invocations: 64,
        workgroup_size_x: 64,
        loop_trips: 2_000,
        ..own.clone()
    }),
];

/// How cases fared under a profile.
#[derive(Debug, Default, Clone, Copy)]
struct Fared {
    /// The same bits by the same plan, by another one, and within the bound of the reference.
    same: usize,
    same_by_another: usize,
    near: usize,
    /// Refused with both numbers.
    refused: usize,
}

/// What of a plan's kernels is beyond the limits.
fn too_large(plan: &Plan, limits: &Limits) -> Vec<String> {
    let mut found = beyond(plan, limits);
    for step in &plan.steps {
        let module = link(step).unwrap_or_else(|e| panic!("{e}"));
        let invocations: u32 = module.workgroup_size.iter().product();
        if module.workgroup_bytes > limits.workgroup_memory || invocations > limits.invocations {
            found.push(format!("{}: {} bytes, {invocations} invocations", step.name, module.workgroup_bytes));
        }
    }
    found
}

/// Representative cases of an op under a profile: whatever the plan becomes, its outputs are those of the adapter's own plan, or as near as they must be.
fn squeeze_op<O: Reference + Kernels>(limits: &Limits, fared: &mut Fared) {
    let most = if O::NAME.starts_with("attention") { 2 } else { 1 };
    for (case, own) in representatives::<O>(gpu(), most) {
        let place = format!("{} seed {}", O::NAME, case.seed);
        let plan = match case.op.plan(limits) {
            Ok(plan) => plan,
            Err(PlanError::TooLarge { need, have, .. } | PlanError::Limit { need, have, .. }) => {
                assert!(need > have, "{place}: refused with {need} of {have}");
                fared.refused += 1;
                continue;
            }
            Err(e) => panic!("{place}: {e}"),
        };
        assert_eq!(too_large(&plan, limits), Vec::<String>::new(), "{place}");
        let run =
            |plan: &Plan| gpu().run_plan(plan, &case.op.operands(), &case.inputs, &RunOptions::default()).unwrap();
        let (before, after) = (run(&own).outputs, run(&plan).outputs);
        match (plan.steps == own.steps, same_bits(&before, &after)) {
            (true, Err(e)) => panic!("{place}: the same plan, and {e}"),
            (true, Ok(())) => fared.same += 1,
            (false, Ok(())) => fared.same_by_another += 1,
            (false, Err(_)) => {
                let prepared = Prepared::<O>::new(case.seed);
                let found = compare(prepared.exact_for(&plan), &after).unwrap();
                assert!(found.ratio <= 1.0, "{place}: {}\n{plan}", found.describe());
                fared.near += 1;
            }
        }
    }
}

#[test]
fn every_op_under_six_profiles() {
    let mut squeezing = 0;
    for (name, squeeze) in SQUEEZES {
        let limits = squeeze(gpu().limits());
        let mut all = Fared::default();
        macro_rules! each {
            ($($op:ty),*) => {$(
                let mut fared = Fared::default();
                squeeze_op::<$op>(&limits, &mut fared);
                let Fared { same, same_by_another, near, refused } = fared;
                println!("{name}: {}: {fared:?}", <$op as Op>::NAME);
                all = Fared {
                    same: all.same + same,
                    same_by_another: all.same_by_another + same_by_another,
                    near: all.near + near,
                    refused: all.refused + refused,
                };
            )*};
        }
        for_each_op!(each);
        println!("{name}: {all:?}");
        assert!(all.same + all.same_by_another + all.near >= 8, "{name}: {all:?}");
        squeezing += usize::from(all.same_by_another + all.near + all.refused > 0);
    }
    // little workgroup memory is enough for the kernels of a CPU-type adapter
    assert!(squeezing >= 4, "only {squeezing} profiles change a plan");
}
