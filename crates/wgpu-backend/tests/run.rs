//! Running plans: values, poison, guards, windows, timing, deadlines, contracts between plan and kernel.

mod fixture;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fixture::{COUNT, DOUBLE, gpu, scale_expected, scale_inputs, scale_operands, scale_plan, step};
use gatefold_wgpu::{
    DeviceKind, Dispatch, Dtype, Gpu, LinkError, Operand, Options, Param, Plan, RunError, RunOptions, SpecError,
    Tensor, Tensors, Window,
};

const POISONS: [u32; 3] = [0x7FC0_DEAD, 0xFFFF_FFFF, 0x7F7F_FFFF];

#[test]
fn values_are_the_same_plain_poisoned_and_guarded() {
    let gpu = gpu();
    let (plan, operands, inputs) = (scale_plan(), scale_operands(), scale_inputs());
    let plain = gpu.run_plan(&plan, &operands, &inputs, &RunOptions::default()).unwrap();
    assert_eq!(plain.outputs["y"].to_f32(), scale_expected());
    assert!(plain.compile_seconds > 0.0 && plain.wall_seconds > plain.compile_seconds);
    for poison in POISONS {
        let options = RunOptions { poison: Some(poison), guard: true, ..RunOptions::default() };
        let ran = gpu.run_plan(&plan, &operands, &inputs, &options).unwrap();
        assert_eq!(ran.outputs, plain.outputs);
        assert_eq!(ran.faults, Vec::<String>::new());
        assert_eq!(ran.compile_seconds, 0.0);
    }
    assert_eq!(gpu.build_seconds().len(), 1);
}

#[test]
fn steps_are_timed() {
    let gpu = gpu();
    let options = RunOptions { timing: true, ..RunOptions::default() };
    let ran = gpu.run_plan(&scale_plan(), &scale_operands(), &scale_inputs(), &options).unwrap();
    let seconds = ran.step_seconds.unwrap();
    assert_eq!(seconds.len(), 1);
    assert!(seconds[0] > 0.0 && seconds[0] < ran.wall_seconds, "{seconds:?}");
    assert_eq!(ran.outputs["y"].to_f32(), scale_expected());
}

#[test]
fn a_plan_without_steps_gives_zeros() {
    let plan = Plan { op: "nothing", ..Plan::default() };
    let operands = [Operand::output("y", [2, 3], Dtype::F32), Operand::output("n", [0, 3], Dtype::F16)];
    let ran = gpu().run_plan(&plan, &operands, &Tensors::new(), &RunOptions::default()).unwrap();
    assert_eq!(ran.outputs["y"].to_f32(), [0.0; 6]);
    assert!(ran.outputs["n"].is_empty() && ran.outputs["n"].dims() == [0, 3]);
}

const F16_COPY: &str = "\
@group(0) @binding(1) var<storage, read> x: array<f16>;
@group(0) @binding(2) var<storage, read_write> y: array<f16>;
@compute @workgroup_size(1)
fn main() { for (var i = 0u; i < 3u; i++) { y[i] = x[i] * 2.0h; } }
";

#[test]
fn odd_counts_of_f16_are_padded() {
    let gpu = gpu();
    let mut plan = Plan { op: "copy", steps: vec![step("copy.f16", F16_COPY, [1, 1, 1], vec![])], ..Plan::default() };
    plan.steps[0].f16 = true;
    let operands = [Operand::input("x", [3], Dtype::F16), Operand::output("y", [3], Dtype::F16)];
    let inputs = Tensors::new().with("x", Tensor::float(Dtype::F16, [3], vec![1.0, -2.0, 3.5]).unwrap());
    // The device's word: without a probe plans may not take f16, but this one is written by hand.
    if !gpu.info().f16 {
        let error = gpu.run_plan(&plan, &operands, &inputs, &RunOptions::default()).unwrap_err();
        assert!(matches!(error, RunError::PipelineBuild { .. }), "{error}");
        return;
    }
    for guard in [false, true] {
        let options = RunOptions { guard, poison: guard.then_some(0x7FC0_DEAD), ..RunOptions::default() };
        let ran = gpu.run_plan(&plan, &operands, &inputs, &options).unwrap();
        assert_eq!(ran.outputs["y"].to_f32(), [2.0, -4.0, 7.0]);
        assert!(ran.faults.is_empty(), "{:?}", ran.faults);
    }
}

const ADD_TO_SOME: &str = "\
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1)
fn main() { for (var i = 0u; i < 3u; i++) { y[2u * i] += x[i]; } }
";

#[test]
fn an_updated_operand_keeps_what_is_not_written() {
    let gpu = gpu();
    let plan = Plan { op: "add", steps: vec![step("add_to_some", ADD_TO_SOME, [1, 1, 1], vec![])], ..Plan::default() };
    let operands = [Operand::input("x", [3], Dtype::F32), Operand::updated("y", [7], Dtype::F32)];
    let odd = f32::from_bits(0x7fc1_2345);
    let before = vec![1.0, 2.0, 3.0, odd, 5.0, 6.0, -0.0];
    let inputs = Tensors::new()
        .with("x", Tensor::f32([3], vec![10.0, 20.0, 30.0]).unwrap())
        .with("y", Tensor::f32([7], before.clone()).unwrap());
    let want = [11.0f32, 2.0, 23.0, odd, 35.0, 6.0, -0.0].map(f32::to_bits);
    for poison in POISONS.into_iter().map(Some).chain([None]) {
        let options = RunOptions { poison, guard: poison.is_some(), ..RunOptions::default() };
        let ran = gpu.run_plan(&plan, &operands, &inputs, &options).unwrap();
        assert_eq!(ran.outputs["y"].to_f32().iter().map(|y| y.to_bits()).collect::<Vec<_>>(), want);
        assert_eq!(ran.faults, Vec::<String>::new());
        assert!(ran.outputs.get("x").is_none());
    }
    let nothing = Plan { op: "nothing", ..Plan::default() };
    let ran = gpu.run_plan(&nothing, &operands, &inputs, &RunOptions::default()).unwrap();
    assert_eq!(ran.outputs["y"].bytes(), inputs["y"].bytes());
    let without = Tensors::new().with("x", inputs["x"].clone());
    let error = gpu.run_plan(&plan, &operands, &without, &RunOptions::default()).unwrap_err();
    assert!(matches!(&error, RunError::Spec(SpecError::Missing { operand, .. }) if operand == "y"), "{error}");
}

const STRAY: &str = "\
struct Params { at: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1)
fn main() { for (var i = 0u; i < 8u; i++) { y[i] = i; } y[params.at] = 77u; }
";

fn stray(at: u32) -> (Plan, [Operand; 1]) {
    let steps = vec![step("stray", STRAY, [1, 1, 1], vec![("at", Param::U32(at))])];
    (Plan { op: "stray", steps, ..Plan::default() }, [Operand::output("y", [8], Dtype::U32)])
}

#[test]
fn a_write_past_the_end_is_caught() {
    let gpu = gpu();
    let options = RunOptions { guard: true, ..RunOptions::default() };
    let (plan, operands) = stray(7);
    assert!(gpu.run_plan(&plan, &operands, &Tensors::new(), &options).unwrap().faults.is_empty());
    for at in [8, 9, 71] {
        let (plan, operands) = stray(at);
        let faults = gpu.run_plan(&plan, &operands, &Tensors::new(), &options).unwrap().faults;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("y: guard zone after"), "{faults:?}");
    }
}

/// Eleven dispatches, each over its own window of 128 elements: more than two submissions.
#[test]
fn windows_shift_each_dispatch() {
    let (parts, width) = (11u32, 128u32);
    let dispatch = |part: u32| {
        let window = |operand| Window { operand, offset: u64::from(part * width * 4), bytes: u64::from(width * 4) };
        let params = vec![("count", Param::U32(width))];
        Dispatch { grid: [2, 1, 1], params, windows: vec![window("x"), window("y")] }
    };
    let mut windowed = step("double", DOUBLE, [1, 1, 1], vec![]);
    windowed.dispatches = (0..parts).map(dispatch).collect();
    let plan = Plan { op: "double", steps: vec![windowed], ..Plan::default() };
    let count = (parts * width) as usize;
    let operands = [Operand::input("x", [count], Dtype::U32), Operand::output("y", [count], Dtype::U32)];
    let x: Vec<u32> = (0..parts * width).collect();
    let inputs = Tensors::new().with("x", Tensor::u32([count], x.clone()).unwrap());
    for (guard, timing) in [(false, false), (true, false), (false, true)] {
        let options = RunOptions { guard, timing, poison: Some(0x7FC0_DEAD), ..RunOptions::default() };
        let ran = gpu().run_plan(&plan, &operands, &inputs, &options).unwrap();
        assert!(ran.outputs["y"].as_u32().unwrap().iter().zip(&x).all(|(y, x)| *y == 2 * x));
        assert!(ran.faults.is_empty(), "{:?}", ran.faults);
    }
}

#[test]
fn an_empty_grid_is_left_out_and_an_empty_operand_can_be_bound() {
    let gpu = gpu();
    let operands = [Operand::input("x", [0], Dtype::U32), Operand::output("y", [4], Dtype::U32)];
    let inputs = Tensors::new().with("x", Tensor::u32([0], []).unwrap());
    for grid in [[0, 1, 1], [1, 1, 1]] {
        let steps = vec![step("double", DOUBLE, grid, vec![("count", Param::U32(0))])];
        let ran =
            gpu.run_plan(&Plan { op: "double", steps, ..Plan::default() }, &operands, &inputs, &RunOptions::default());
        assert_eq!(ran.unwrap().outputs["y"].as_u32().unwrap(), [0; 4]);
    }
}

#[test]
fn deadlines_and_cancel_tokens_are_kept() {
    let gpu = gpu();
    let (operands, inputs) = (scale_operands(), scale_inputs());
    let cancel = RunOptions { cancel: Some(Arc::new(AtomicBool::new(true))), ..RunOptions::default() };
    let error = gpu.run_plan(&scale_plan(), &operands, &inputs, &cancel).unwrap_err();
    assert!(matches!(error, RunError::Cancelled { .. }), "{error}");
    let deadline = RunOptions { deadline: Some(Duration::ZERO), ..RunOptions::default() };
    let error = gpu.run_plan(&scale_plan(), &operands, &inputs, &deadline).unwrap_err();
    assert!(matches!(error, RunError::TimeOut { .. }), "{error}");
    let good = gpu.run_plan(&scale_plan(), &operands, &inputs, &RunOptions::default()).unwrap();
    assert_eq!(good.outputs["y"].to_f32(), scale_expected());
}

/// 60,000 trips of four dependent square roots: milliseconds on any adapter, however wide, and half a second on a software driver.
const SLOW: &str = "\
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  var a = f32(id.x);
  for (var i = 0u; i < 60000u; i++) { a = sqrt(a + 1.0); a = sqrt(a + 2.0); a = sqrt(a + 3.0); a = sqrt(a + 4.0); }
  y[id.x & 63u] = a;
}
";

#[test]
fn a_slow_kernel_meets_its_deadline_and_the_device_lives_on() {
    let gpu = gpu();
    let steps = vec![step("slow", SLOW, [64, 1, 1], vec![])];
    let (plan, operands) = (Plan { op: "slow", steps, ..Plan::default() }, [Operand::output("y", [64], Dtype::F32)]);
    let software = gpu.limits().kind == DeviceKind::Cpu;
    let deadline = Duration::from_millis(if software { 20 } else { 1 });
    let options = RunOptions { deadline: Some(deadline), ..RunOptions::default() };
    let clock = std::time::Instant::now();
    let error = gpu.run_plan(&plan, &operands, &Tensors::new(), &options).unwrap_err();
    assert!(matches!(error, RunError::TimeOut { .. }), "{error}");
    assert!(clock.elapsed() < Duration::from_secs(5), "{:?}", clock.elapsed());
    let good = gpu.run_plan(&scale_plan(), &scale_operands(), &scale_inputs(), &RunOptions::default()).unwrap();
    assert_eq!(good.outputs["y"].to_f32(), scale_expected());
}

/// Forty dispatches in ten submissions, two of them on their way at a time. A token that is set while they run stops the rest.
#[test]
fn a_cancel_token_stops_a_run_between_submissions() {
    let gpu = gpu();
    let mut slow = step("slow", SLOW, [1, 1, 1], vec![]);
    slow.dispatches = vec![slow.dispatches[0].clone(); 40];
    let (plan, operands) =
        (Plan { op: "slow", steps: vec![slow], ..Plan::default() }, [Operand::output("y", [64], Dtype::F32)]);
    let clock = std::time::Instant::now();
    let whole = gpu.run_plan(&plan, &operands, &Tensors::new(), &RunOptions::default()).unwrap();
    let all = clock.elapsed();
    let token = Arc::new(AtomicBool::new(false));
    let options = RunOptions { cancel: Some(Arc::clone(&token)), ..RunOptions::default() };
    let (error, late) = std::thread::scope(|scope| {
        let run = scope.spawn(|| gpu.run_plan(&plan, &operands, &Tensors::new(), &options).unwrap_err());
        std::thread::sleep(all / 10);
        token.store(true, std::sync::atomic::Ordering::Relaxed);
        let clock = std::time::Instant::now();
        (run.join().unwrap(), clock.elapsed())
    });
    println!("a whole run takes {all:?}; cancelled at a tenth of it, it ended {late:?} later");
    assert!(matches!(error, RunError::Cancelled { .. }), "{error}");
    assert!(late < all / 2 + Duration::from_millis(100), "{late:?} of {all:?}");
    let again = gpu.run_plan(&plan, &operands, &Tensors::new(), &RunOptions::default()).unwrap();
    assert_eq!(again.outputs, whole.outputs);
}

#[test]
fn no_progress_for_longer_than_the_patience_is_a_hang() {
    let patience = Some(Duration::from_millis(2));
    let gpu = Gpu::open(&Options { probe: false, patience, ..Options::default() }).unwrap();
    let steps = vec![step("slow", SLOW, [64, 1, 1], vec![])];
    let (plan, operands) = (Plan { op: "slow", steps, ..Plan::default() }, [Operand::output("y", [64], Dtype::F32)]);
    let error = gpu.run_plan(&plan, &operands, &Tensors::new(), &RunOptions::default()).unwrap_err();
    assert!(matches!(error, RunError::DeviceHung { .. }), "{error}");
}

/// One device, its pipelines and its error scopes, used by four threads at once.
#[test]
fn threads_share_a_device() {
    let gpu = gpu();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let (plan, operands, inputs) = (scale_plan(), scale_operands(), scale_inputs());
                    let ran = gpu.run_plan(&plan, &operands, &inputs, &RunOptions::default()).unwrap();
                    assert_eq!(ran.outputs["y"].to_f32(), scale_expected());
                }
            });
        }
    });
}

#[test]
fn inputs_are_checked() {
    let gpu = gpu();
    let run =
        |inputs: &Tensors| gpu.run_plan(&scale_plan(), &scale_operands(), inputs, &RunOptions::default()).unwrap_err();
    let mut missing = scale_inputs();
    missing.take("x");
    assert!(matches!(run(&missing), RunError::Spec(SpecError::Missing { operand, .. }) if operand == "x"));
    let short = scale_inputs().with("x", Tensor::f32([1], [0.0]).unwrap());
    assert!(matches!(run(&short), RunError::Spec(SpecError::Shape { given, .. }) if given == [1]));
    let integer = scale_inputs().with("offset", Tensor::u32([1], [0]).unwrap());
    assert!(matches!(run(&integer), RunError::Spec(SpecError::Dtype { given: Dtype::U32, .. })));
}

#[test]
fn plan_and_kernel_must_agree() {
    let gpu = gpu();
    let run = |change: &dyn Fn(&mut Plan)| {
        let mut plan = scale_plan();
        change(&mut plan);
        let error = gpu.run_plan(&plan, &scale_operands(), &scale_inputs(), &RunOptions::default()).unwrap_err();
        match error {
            RunError::Link(LinkError::Contract { message, .. }) => message,
            other => panic!("{other}"),
        }
    };
    assert!(run(&|p| p.scratch.clear()).contains("shift"));
    assert!(run(&|p| p.packed[0].offset = 16).contains("offset packed in shift"));
    assert!(run(&|p| p.steps[0].dispatches[0].params.truncate(1)).contains("factor"));
    // The first good run caches the pipeline; a later dispatch is checked all the same.
    gpu.run_plan(&scale_plan(), &scale_operands(), &scale_inputs(), &RunOptions::default()).unwrap();
    assert!(run(&|p| p.steps[0].dispatches[0].params[0].1 = Param::F32(1.0)).contains("count"));
    assert!(run(&|p| p.steps[0].dispatches[0].params.push(("rows", Param::U32(1)))).contains("rows"));
    let window = Window { operand: "y", offset: 256, bytes: u64::from(COUNT) * 4 };
    assert!(run(&|p| p.steps[0].dispatches[0].windows.push(window.clone())).contains("y: window"));
}

#[test]
fn an_input_must_not_be_bound_for_writing() {
    let plan = Plan {
        op: "stray",
        steps: vec![step("stray", STRAY, [1, 1, 1], vec![("at", Param::U32(0))])],
        ..Plan::default()
    };
    let operands = [Operand::input("y", [8], Dtype::U32)];
    let inputs = Tensors::new().with("y", Tensor::u32([8], [0; 8]).unwrap());
    let error = gpu().run_plan(&plan, &operands, &inputs, &RunOptions::default()).unwrap_err();
    assert!(error.to_string().contains("y: expected var<storage, read>"), "{error}");
}

#[test]
fn a_broken_kernel_is_named_twice() {
    let gpu = gpu();
    let steps = vec![step("broken", "@compute @workgroup_size(1) fn main() { let x = 1u + 1.0f; }", [1, 1, 1], vec![])];
    let plan = Plan { op: "broken", steps, ..Plan::default() };
    for _ in 0..2 {
        let error = gpu.run_plan(&plan, &[], &Tensors::new(), &RunOptions::default()).unwrap_err();
        assert!(matches!(error, RunError::Link(LinkError::Invalid { .. })), "{error}");
    }
}
