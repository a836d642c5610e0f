//! How bytes travel: by mapping kernels' buffers or through staging, in new buffers or in those of an earlier run. Always the same values.

mod fixture;

use fixture::{DOUBLE, double, doubled, numbers, step};
use gatefold_wgpu::{
    AdapterKind, Dtype, Gpu, LimitChoice, Operand, Options, Param, Plan, RunOptions, Tensor, Tensors, adapters, wgpu,
};

/// Enough to be mapped where that is done: 20 kB.
const COUNT: u32 = 5_000;

fn open(mapped: bool) -> Gpu {
    Gpu::open(&Options { probe: false, mapped, ..Options::default() }).unwrap()
}

#[test]
fn every_route_gives_the_same_values_again_and_again() {
    let (plan, operands) = double(COUNT);
    for gpu in [open(true), open(false)] {
        for (round, poison, guard) in [
            (0, None, false),
            (1, None, false),
            (2, Some(0x7FC0_DEAD), true),
            (3, Some(0x7FC0_DEAD), false),
            (4, None, true),
            (5, None, false),
        ] {
            let options = RunOptions { poison, guard, timing: guard, ..RunOptions::default() };
            let ran = gpu.run_plan(&plan, &operands, &numbers(COUNT, round), &options).unwrap();
            assert_eq!(ran.outputs["y"].as_u32().unwrap(), doubled(COUNT, round), "round {round}");
            assert!(ran.faults.is_empty(), "{:?}", ran.faults);
        }
    }
}

/// A short `count` leaves the end of the output unwritten: what is there is the poison, not the run before.
#[test]
fn what_is_not_written_stays_poisoned_in_a_used_buffer_too() {
    let (plan, operands) = double(COUNT);
    let mut short = plan.clone();
    short.steps[0].dispatches[0].params[0].1 = Param::U32(COUNT - 1);
    for gpu in [open(true), open(false)] {
        gpu.run_plan(&plan, &operands, &numbers(COUNT, 0), &RunOptions::default()).unwrap();
        let options = RunOptions { poison: Some(0xABCD_EF01), ..RunOptions::default() };
        let ran = gpu.run_plan(&short, &operands, &numbers(COUNT, 0), &options).unwrap();
        assert_eq!(ran.outputs["y"].as_u32().unwrap().last(), Some(&0xABCD_EF01));
    }
}

const STRAY: &str = "\
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1)
fn main() { y[5000] = x[0]; }
";

#[test]
fn a_write_past_the_end_is_caught_on_every_route() {
    let (_, operands) = double(COUNT);
    let plan = Plan { op: "stray", steps: vec![step("stray", STRAY, [1, 1, 1], vec![])], ..Plan::default() };
    let options = RunOptions { guard: true, ..RunOptions::default() };
    for gpu in [open(true), open(false)] {
        let faults = gpu.run_plan(&plan, &operands, &numbers(COUNT, 7), &options).unwrap().faults;
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with("y: guard zone after"), "{faults:?}");
    }
}

/// A larger f16 tensor of an odd length is padded on its way up and cut on its way down.
#[test]
fn odd_lengths_travel_on_every_route() {
    let count = 20_001;
    let steps = vec![step("double", DOUBLE, [157, 1, 1], vec![("count", Param::U32(10_001))])];
    let plan = Plan { op: "double", steps, ..Plan::default() };
    let operands = [Operand::input("x", [count], Dtype::F16), Operand::output("y", [count], Dtype::F16)];
    // Denormals: as words they double without a carry from one half to the other.
    let x = Tensor::float(Dtype::F16, [count], vec![2f32.powi(-20); count]).unwrap();
    for gpu in [open(true), open(false)] {
        let inputs = Tensors::new().with("x", x.clone());
        let ran = gpu.run_plan(&plan, &operands, &inputs, &RunOptions::default()).unwrap();
        assert_eq!(ran.outputs["y"].to_f32(), vec![2f32.powi(-19); count]);
    }
}

#[test]
fn buffers_are_kept_for_the_next_run_and_freed_on_demand() {
    let (plan, operands) = double(COUNT);
    let gpu = open(true);
    assert_eq!(gpu.kept_bytes(), 0);
    let run = || gpu.run_plan(&plan, &operands, &numbers(COUNT, 1), &RunOptions::default()).unwrap();
    run();
    let kept = gpu.kept_bytes();
    assert!(kept >= 2 * 4 * u64::from(COUNT), "{kept}");
    run();
    assert_eq!(gpu.kept_bytes(), kept);
    gpu.trim();
    assert_eq!(gpu.kept_bytes(), 0);
    assert_eq!(run().outputs["y"].as_u32().unwrap(), doubled(COUNT, 1));
}

#[test]
fn kept_buffers_have_a_limit() {
    let gpu = open(true);
    for count in 1..200 {
        let (plan, operands) = double(count * 10);
        let ran = gpu.run_plan(&plan, &operands, &numbers(count * 10, 0), &RunOptions::default()).unwrap();
        assert_eq!(ran.outputs["y"].as_u32().unwrap(), doubled(count * 10, 0));
    }
    // 64 buffers of at most 8 kB.
    assert!(gpu.kept_bytes() <= 64 * 8_000, "{}", gpu.kept_bytes());
}

#[test]
fn threads_share_the_kept_buffers() {
    let (plan, operands) = double(COUNT);
    for gpu in [open(true), open(false)] {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (gpu, plan, operands) = (&gpu, &plan, &operands);
                scope.spawn(move || {
                    for round in 0..20 {
                        let first = thread * 1_000 + round;
                        let ran = gpu.run_plan(plan, operands, &numbers(COUNT, first), &RunOptions::default());
                        assert_eq!(ran.unwrap().outputs["y"].as_u32().unwrap(), doubled(COUNT, first));
                    }
                });
            }
        });
    }
}

#[test]
fn buffers_are_mapped_only_where_memory_is_shared_and_the_device_can() {
    assert!(!open(false).is_mapped());
    let defaults = Options { probe: false, limits: LimitChoice::WebGpuDefault, ..Options::default() };
    assert!(!Gpu::open(&defaults).unwrap().is_mapped());
    for adapter in adapters().iter().filter(|a| matches!(a.kind, AdapterKind::Discrete | AdapterKind::Virtual)) {
        let options = Options { adapter: Some(adapter.index.to_string()), probe: false, ..Options::default() };
        assert!(!Gpu::open(&options).unwrap().is_mapped(), "{adapter}");
    }
}

#[test]
fn the_callers_own_device_is_mapped_if_it_was_opened_for_that() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let unified = matches!(adapter.get_info().device_type, wgpu::DeviceType::Cpu | wgpu::DeviceType::IntegratedGpu);
    let can = adapter.features().contains(wgpu::Features::MAPPABLE_PRIMARY_BUFFERS);
    for asked in [false, true] {
        let required_features = adapter.features() & wgpu::Features::MAPPABLE_PRIMARY_BUFFERS;
        let required_features = if asked { required_features } else { wgpu::Features::empty() };
        let descriptor = wgpu::DeviceDescriptor { required_features, ..Default::default() };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
        let gpu = Gpu::from_device(&adapter.get_info(), device, queue).unwrap();
        assert_eq!(gpu.is_mapped(), asked && can && unified);
        let (plan, operands) = double(COUNT);
        let ran = gpu.run_plan(&plan, &operands, &numbers(COUNT, 3), &RunOptions::default()).unwrap();
        assert_eq!(ran.outputs["y"].as_u32().unwrap(), doubled(COUNT, 3));
    }
}
