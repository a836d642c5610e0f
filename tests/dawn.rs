//! The checker on Dawn: each of its checks is shown to fail on a planted fault. The thousands of cases are `cargo xtask conformance`.
//!
//! Dawn is an npm package, which `cargo xtask test` and `cargo xtask setup --stacks` install. Where it is not, these tests say so.

use gatefold_core::{Dtype, Operand, Rowwise, Tensor, Tensors};
use gatefold_shaders::{Dispatch, Kernels, Param, Plan, Source, Step};
use gatefold_tests::compare::compare;
use gatefold_tests::conformance::gate;
use gatefold_tests::executor::Executor;
use gatefold_tests::run_case::{Prepared, Status, run_poisoned, run_prepared};
use gatefold_tests::stacks::default_dawn;
use gatefold_wgpu::{Options, RunError, RunOptions};

/// Dawn on the driver that it runs on by default.
fn dawn() -> Option<Box<dyn Executor>> {
    let stack = default_dawn();
    if stack.is_none() {
        println!("NOT RUN: Dawn is not installed");
    }
    stack.map(|s| s.open(&Options::default()).unwrap_or_else(|e| panic!("{}: {e}", s.name)))
}

/// y[i] = x[i] · factor for i < count, with something else in its place.
fn ran(dawn: &dyn Executor, name: &str, body: &str) -> Result<(Tensors, Vec<String>), RunError> {
    let text = format!(
        "struct Params {{ count: u32, factor: f32 }}\n@group(0) @binding(0) var<uniform> params: Params;\n\
         @group(0) @binding(1) var<storage, read> x: array<f32>;\n@group(0) @binding(2) var<storage, read_write> y: array<f32>;\n\
         var<workgroup> kept: array<f32, 64>;\n\
         @compute @workgroup_size(64)\nfn main(@builtin(global_invocation_id) id: vec3<u32>) {{\n  {body}\n}}\n"
    );
    let params = vec![("count", Param::U32(100)), ("factor", Param::F32(2.0))];
    let dispatches = vec![Dispatch { grid: [2, 1, 1], params, windows: Vec::new() }];
    let step = Step::plain(name, Source { path: "test.wgsl", text: text.leak() }, dispatches);
    let plan = Plan { op: "scale", steps: vec![step], ..Plan::default() };
    let operands = [Operand::input("x", [100], Dtype::F32), Operand::output("y", [100], Dtype::F32)];
    let inputs = Tensors::new().with("x", Tensor::f32([100], vec![1.5; 100]).unwrap());
    let options = RunOptions { guard: true, poison: Some(0x7FC0_DEAD), ..RunOptions::default() };
    dawn.run_plan(&plan, &operands, &inputs, &options).map(|ran| (ran.outputs, ran.faults))
}

#[test]
fn faults_are_seen() {
    let Some(dawn) = dawn() else { return };
    let dawn = dawn.as_ref();
    let (outputs, faults) =
        ran(dawn, "sound", "if (id.x < params.count) { y[id.x] = x[id.x] * params.factor; }").unwrap();
    assert_eq!((outputs["y"].to_f32(), faults), (vec![3.0; 100], Vec::new()));

    let (_, faults) = ran(dawn, "beyond", "y[id.x] = x[0] * params.factor;").unwrap();
    assert!(faults.iter().any(|f| f.contains("y: guard zone after")), "{faults:?}");

    let barrier = "if (x[id.x] > 1.0) { workgroupBarrier(); } kept[0] = params.factor; y[id.x] = kept[0];";
    let error = ran(dawn, "divergent", barrier).unwrap_err();
    assert!(matches!(&error, RunError::PipelineBuild { message, .. } if message.contains("uniform")), "{error}");
    assert_eq!(ran(dawn, "divergent", barrier).unwrap_err(), error, "what is wrong with a text stays wrong");
}

#[test]
fn a_wrong_kernel_is_rejected_and_the_sound_one_is_not() {
    let Some(dawn) = dawn() else { return };
    let dawn = dawn.as_ref();
    let mut rejected = 0;
    for seed in 0..24 {
        let prepared = Prepared::<Rowwise>::new(seed);
        let sound = run_prepared(dawn, &prepared, gate(dawn));
        assert_ne!(sound.status, Status::Failed, "{:?}", sound.faults);
        let Ok(mut plan) = prepared.case.op.plan(dawn.limits()) else { continue };
        let mut planted = false;
        for file in plan.steps.iter_mut().flat_map(|s| std::iter::once(&mut s.kernel).chain(&mut s.slots)) {
            let wrong = file.text.replace("return exp(2.0 * ", "return exp(2.002 * ");
            planted |= wrong != file.text;
            file.text = wrong.leak();
        }
        let (outputs, _) = run_poisoned(dawn, &prepared.case, &plan).unwrap();
        let found = compare(prepared.exact_for(&plan), &outputs).unwrap();
        rejected += usize::from(planted && found.ratio > 1.0);
    }
    assert!(rejected > 0, "no case shows an exponent that is off by a thousandth");
}
