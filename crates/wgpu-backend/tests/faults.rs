//! Faults of the device: each is a named error, none a panic, and the next good call gives the same bits.

mod fixture;

use std::sync::Arc;

use fixture::{double, doubled, gpu, numbers, scale_expected, scale_inputs, scale_operands, scale_plan, step};
use gatefold_wgpu::{
    Bindings, Dtype, FaultKind, FaultPlan, Gpu, Operand, Options, Plan, Ran, RunError, RunOptions, Tensors, wgpu,
};

fn run(gpu: &Gpu, options: &RunOptions) -> Result<Ran, RunError> {
    gpu.run_plan(&scale_plan(), &scale_operands(), &scale_inputs(), options)
}

fn assert_good(gpu: &Gpu) {
    assert_eq!(run(gpu, &RunOptions::default()).unwrap().outputs["y"].to_f32(), scale_expected());
}

fn is_kind(error: &RunError, kind: FaultKind) -> bool {
    match kind {
        FaultKind::OutOfMemory => matches!(error, RunError::OutOfMemory { .. }),
        // A compiler's refusal is reported as such, but an injected fault does not come from the compiler.
        FaultKind::Validation => matches!(error, RunError::Validation { .. }),
        FaultKind::Internal => matches!(error, RunError::Internal { .. }),
        FaultKind::Lost => matches!(error, RunError::DeviceLost { .. }),
        FaultKind::TimeOut => matches!(error, RunError::TimeOut { .. }),
        FaultKind::MapFailed => matches!(error, RunError::MapFailed { .. }),
    }
}

/// Injects every kind at every call of `call`: on a fresh device each time, so that compiling and allocating are among the calls, and on
/// one that has made the call before.
fn inject_everywhere(mapped: bool, call: &dyn Fn(&Gpu) -> Result<(), RunError>) -> u64 {
    let faults = Arc::new(FaultPlan::new());
    let options = Options { probe: false, mapped, faults: Some(Arc::clone(&faults)), ..Options::default() };
    let open = || Gpu::open(&options).unwrap();
    let mut most = 0;
    for warm in [false, true] {
        let mut gpu = open();
        if warm {
            call(&gpu).unwrap();
        }
        faults.disarm();
        call(&gpu).unwrap();
        let calls = faults.calls();
        most = most.max(calls);
        for (n, kind) in (0..calls).flat_map(|n| FaultKind::ALL.map(|kind| (n, kind))) {
            faults.disarm();
            if !warm || gpu.check().is_err() {
                gpu = open();
            }
            if warm {
                // The fault before has cost it some of its buffers.
                call(&gpu).unwrap();
            }
            faults.arm(kind, n);
            let error = call(&gpu).expect_err("a fault that nobody noticed");
            assert!(is_kind(&error, kind), "call {n}, {kind:?}: {error:?}");
            faults.disarm();
            if kind == FaultKind::Lost {
                let again = call(&gpu).unwrap_err();
                assert!(matches!(again, RunError::DeviceLost { .. }), "{again:?}");
                gpu = gpu.reopen().unwrap();
            }
            assert_good(&gpu);
        }
    }
    most
}

#[test]
fn every_fault_at_every_call_of_a_run_is_named() {
    for options in [
        RunOptions::default(),
        RunOptions { poison: Some(0x7FC0_DEAD), guard: true, timing: true, ..RunOptions::default() },
    ] {
        let calls = inject_everywhere(true, &|gpu| run(gpu, &options).map(|ran| assert!(ran.faults.is_empty())));
        assert!(calls >= 12, "{calls}");
    }
}

/// With inputs large enough to be mapped.
#[test]
fn every_fault_at_every_call_of_a_run_is_named_by_either_route() {
    let (plan, operands) = double(5_000);
    let inputs = numbers(5_000, 1);
    for mapped in [true, false] {
        let calls = inject_everywhere(mapped, &|gpu| {
            let ran = gpu.run_plan(&plan, &operands, &inputs, &RunOptions::default())?;
            assert_eq!(ran.outputs["y"].as_u32().unwrap(), doubled(5_000, 1));
            Ok(())
        });
        assert!(calls >= 10, "{calls}");
    }
}

#[test]
fn every_fault_at_every_call_of_encode_is_named() {
    let calls = inject_everywhere(true, &|gpu| {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
        let descriptor = wgpu::BufferDescriptor { label: None, size: 400, usage, mapped_at_creation: false };
        let [x, offset, y] = [(); 3].map(|()| gpu.device().create_buffer(&descriptor));
        let bindings = Bindings::new().bind("x", &x, 0).bind("offset", &offset, 0).bind("y", &y, 0);
        let prepared = gpu.prepare(&scale_plan(), &scale_operands(), &bindings)?;
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        prepared.encode(&mut encoder)
    });
    assert!(calls >= 5, "{calls}");
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
