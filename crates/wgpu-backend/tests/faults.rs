//! Faults of the device that happen for real: each is a named error, none a panic, and the next good call gives the same bits. Those on
//! demand, at every call: `injection.rs`.

mod fixture;

use fixture::{gpu, scale_expected, scale_inputs, scale_operands, scale_plan, step};
use gatefold_wgpu::{
    Bindings, DeviceKind, Dtype, Gpu, Operand, Options, Plan, Ran, RunError, RunOptions, Scratch, Tensors, wgpu,
};

fn run(gpu: &Gpu, options: &RunOptions) -> Result<Ran, RunError> {
    gpu.run_plan(&scale_plan(), &scale_operands(), &scale_inputs(), options)
}

fn assert_good(gpu: &Gpu) {
    assert_eq!(run(gpu, &RunOptions::default()).unwrap().outputs["y"].to_f32(), scale_expected());
}

#[test]
fn a_destroyed_device_is_lost_and_reopens() {
    let gpu = gpu();
    assert_good(&gpu);
    gpu.device().destroy();
    for _ in 0..3 {
        let error = run(&gpu, &RunOptions::default()).unwrap_err();
        assert!(matches!(&error, RunError::DeviceLost { .. }), "{error:?}");
    }
    assert!(matches!(gpu.check(), Err(RunError::DeviceLost { .. })));
    assert_good(&gpu.reopen().unwrap());
}

#[test]
fn too_large_a_buffer_is_refused_with_both_numbers() {
    let gpu = gpu();
    let plan = Plan { op: "double", steps: vec![step("writes", WRITES, [1, 1, 1], vec![])], ..Plan::default() };
    let elements = usize::try_from(gpu.limits().buffer_bytes / 4 + 4).unwrap();
    let operands = [Operand::output("y", [elements], Dtype::U32)];
    let error = gpu.run_plan(&plan, &operands, &Tensors::new(), &RunOptions::default()).unwrap_err();
    let RunError::TooLarge { what, need, have } = error else { panic!("{error:?}") };
    assert_eq!((what.as_str(), have), ("y", gpu.limits().buffer_bytes));
    assert!(need > have);
    assert_good(&gpu);
}

const WRITES: &str = "\
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1)
fn main() { y[0] = 1u; }
";

#[test]
fn an_error_outside_of_every_call_does_not_panic() {
    let gpu = gpu();
    // Mapping a buffer that cannot be mapped: wgpu reports it to nobody in particular.
    let descriptor =
        wgpu::BufferDescriptor { label: None, size: 16, usage: wgpu::BufferUsages::STORAGE, mapped_at_creation: false };
    let buffer = gpu.device().create_buffer(&descriptor);
    buffer.map_async(wgpu::MapMode::Read, .., |result| assert!(result.is_err()));
    let error = run(&gpu, &RunOptions::default()).unwrap_err();
    assert!(matches!(error, RunError::Internal { .. }), "{error:?}");
    assert_good(&gpu);
}

/// An instance that counts memory as full at 1 % of what the driver has: allocations fail for real.
fn starved() -> Option<Gpu> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.memory_budget_thresholds.for_resource_creation = Some(1);
    let adapter = pollster::block_on(wgpu::Instance::new(descriptor).request_adapter(&Default::default())).ok()?;
    let descriptor = wgpu::DeviceDescriptor { required_limits: adapter.limits(), ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).ok()?;
    let options = Options { probe: false, ..Options::default() };
    pollster::block_on(Gpu::from_device_async(&adapter.get_info(), device, queue, &options)).ok()
}

/// Set in a process that has little memory.
const STARVED: &str = "GATEFOLD_TEST_STARVED";

/// Scratch until the memory is full. It is only held, never touched, so that a software driver has it in name only: the test runs in a
/// process of its own that may have 8 GiB in name.
#[test]
fn memory_that_runs_out_is_an_error_and_what_was_held_is_given_back() {
    if cfg!(target_os = "linux") && std::env::var_os(STARVED).is_none() {
        let name = "memory_that_runs_out_is_an_error_and_what_was_held_is_given_back";
        let limited = format!("ulimit -v 8388608; exec \"$0\" --exact {name} --nocapture");
        let mut process = std::process::Command::new("sh");
        process.args(["-c", &limited]).arg(std::env::current_exe().unwrap()).env(STARVED, "1");
        let output = process.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        println!("{text}");
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        // A GPU of its own memory may have the 16 GiB.
        assert!(gpu().limits().kind == DeviceKind::Gpu || text.contains("out of memory for real"), "{text}");
        return;
    }
    let Some(gpu) = starved() else { return };
    let live = |gpu: &Gpu| {
        gpu.trim();
        gpu.queue().submit([]);
        gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
        gpu.device().generate_allocator_report().map(|r| (r.allocations.len(), r.total_allocated_bytes))
    };
    assert_good(&gpu);
    let mut plan = Plan { op: "hungry", steps: vec![step("writes", WRITES, [1, 1, 1], vec![])], ..Plan::default() };
    let bytes = gpu.limits().buffer_bytes.min(1 << 30);
    plan.scratch = vec![Scratch { name: "hunger", bytes }; 16];
    let usage = wgpu::BufferUsages::STORAGE;
    let y =
        gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size: 4, usage, mapped_at_creation: false });
    let with_y = live(&gpu);
    let bindings = Bindings::new().bind("y", &y, 0);
    let prepared = gpu.prepare(&plan, &[Operand::output("y", [1], Dtype::U32)], &bindings);
    match prepared {
        Err(RunError::OutOfMemory { what, bytes: wanted }) => {
            println!("out of memory for real: {what}, {wanted} bytes");
            assert_eq!((what.as_str(), wanted), ("allocating hunger", bytes));
            assert_eq!(live(&gpu), with_y);
            assert_good(&gpu);
        }
        Err(other) => panic!("{other}"),
        Ok(prepared) => println!("this driver has {} MiB, or tells of no budget", prepared.scratch_bytes() >> 20),
    }
}
