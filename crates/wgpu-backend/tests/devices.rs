//! Opening devices: selection, limits, the probe, the caller's own device, no driver at all.

mod fixture;

use std::process::Command;

use fixture::{scale_expected, scale_inputs, scale_operands, scale_plan};
use gatefold_wgpu::{AdapterKind, Gpu, LimitChoice, Limits, Options, RunError, RunOptions, adapters, wgpu};

fn assert_runs(gpu: &Gpu) {
    let options = RunOptions { timing: true, ..RunOptions::default() };
    let ran = gpu.run_plan(&scale_plan(), &scale_operands(), &scale_inputs(), &options).unwrap();
    assert_eq!(ran.outputs["y"].to_f32(), scale_expected());
    assert_eq!(ran.step_seconds.unwrap().len(), 1);
}

#[test]
fn webgpu_defaults_are_exactly_those() {
    let gpu = Gpu::open(&Options { limits: LimitChoice::WebGpuDefault, ..Options::default() }).unwrap();
    let limits = gpu.limits();
    let default = Limits::webgpu_default();
    let measured = Limits {
        kind: default.kind,
        wave: default.wave,
        busy_groups: default.busy_groups,
        loop_trips: default.loop_trips,
        mul_adds_per_second: default.mul_adds_per_second,
        ..limits.clone()
    };
    assert_eq!(measured, default);
    assert!(limits.loop_trips >= 60_000 && limits.mul_adds_per_second > 1e6);
    assert!(gpu.probe().f16_rounding.is_none());
    assert_runs(&gpu);
}

#[test]
fn the_best_adapter_is_opened_and_probed() {
    let gpu = Gpu::new().unwrap();
    let probe = gpu.probe();
    println!("{}\n{probe}", gpu.info());
    let best = adapters().iter().map(|a| a.kind).min().unwrap();
    assert_eq!(gpu.info().kind, best);
    assert!(probe.measured && probe.unfit().is_none());
    assert!(probe.nan_bit_test && probe.fence_works && probe.stale_words == 0);
    for accuracy in [probe.exp, probe.exp2, probe.log, probe.divide, probe.inverse_sqrt] {
        // Shipping drivers miss the table by a little: up to 1.04 has been seen.
        assert!(accuracy > 0.0 && accuracy < 1.2, "{probe}");
    }
    if let Some(cap) = probe.loop_cap {
        assert!(gpu.limits().loop_trips < cap);
    }
    assert!(probe.attention > 0.0 && probe.attention < 1.0);
    assert_eq!(probe.to_string().lines().count(), 20);
    assert_eq!(Gpu::new().unwrap().probe(), probe);
    assert_runs(&gpu);
}

#[test]
fn adapters_are_found_by_index_and_part_of_the_name() {
    for adapter in adapters() {
        let part = adapter.name.split(' ').next().unwrap().to_uppercase();
        let options = |adapter| Options { adapter: Some(adapter), probe: false, ..Options::default() };
        let by_name = Gpu::open(&options(part)).unwrap();
        assert_eq!(by_name.info().name.split(' ').next(), adapter.name.split(' ').next());
        assert_eq!(Gpu::open(&options(adapter.index.to_string())).unwrap().info(), &adapter);
        assert!(adapter.to_string().contains(&adapter.name) && adapter.kind <= AdapterKind::Cpu);
    }
    let error = Gpu::open(&Options { adapter: Some("no such thing".into()), ..Options::default() }).unwrap_err();
    let RunError::NoAdapter { wanted, found, .. } = &error else { panic!("{error}") };
    assert!(wanted.contains("no such thing") && found.contains(&adapters()[0].name));
}

#[test]
fn the_callers_own_device_is_used_as_it_is() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let gpu = Gpu::from_device(&adapter.get_info(), device.clone(), queue).unwrap();
    assert!(!gpu.limits().f16 && gpu.limits().storage_buffers == 8);
    assert_runs(&gpu);
    assert!(matches!(gpu.reopen(), Err(RunError::OwnDevice)));
    let marker = gpu.lost_marker();
    device.set_device_lost_callback(move |reason, _| marker.mark(format!("{reason:?}")));
    device.destroy();
    let run = || gpu.run_plan(&scale_plan(), &scale_operands(), &scale_inputs(), &RunOptions::default());
    assert!(matches!(run(), Err(RunError::DeviceLost { .. })));
}

#[test]
fn without_a_callback_the_loss_of_the_callers_device_is_an_error_too() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let gpu = Gpu::from_device(&adapter.get_info(), device, queue).unwrap();
    gpu.device().destroy();
    let error = gpu.run_plan(&scale_plan(), &scale_operands(), &scale_inputs(), &RunOptions::default()).unwrap_err();
    assert!(matches!(error, RunError::DeviceLost { .. }), "{error:?}");
}

/// Runs itself in a process that sees no driver.
#[test]
fn without_a_driver_the_error_says_what_to_install() {
    if std::env::var_os("GATEFOLD_NO_DRIVER").is_some() {
        assert!(adapters().is_empty());
        let error = Gpu::new().unwrap_err();
        assert!(matches!(error, RunError::NoAdapter { .. }));
        assert!(error.to_string().contains("apt-get install"), "{error}");
        return;
    }
    if !cfg!(target_os = "linux") {
        // Only Vulkan drivers can be hidden from a process.
        return;
    }
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "without_a_driver_the_error_says_what_to_install"])
        .envs([("GATEFOLD_NO_DRIVER", "1"), ("VK_DRIVER_FILES", "/nonexistent"), ("VK_ICD_FILENAMES", "/nonexistent")])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
}

/// The async form can be spawned on any executor.
#[cfg(not(target_arch = "wasm32"))]
#[test]
fn async_runs_are_send() {
    fn assert_send<T: Send>(value: T) -> T {
        value
    }
    let gpu = fixture::gpu();
    let (plan, operands, inputs, options) = (scale_plan(), scale_operands(), scale_inputs(), RunOptions::default());
    let ran = pollster::block_on(assert_send(gpu.run_plan_async(&plan, &operands, &inputs, &options))).unwrap();
    assert_eq!(ran.outputs["y"].to_f32(), scale_expected());
}
