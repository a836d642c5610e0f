//! The kinds of adapter that specs are planned for.

#![allow(dead_code, reason = "not every crate that takes these specs plans them")]

use gatefold_shaders::{DeviceKind, Limits, MatrixUnit};

/// Adapters of the kinds there are, by name.
pub(crate) fn profiles() -> Vec<(&'static str, Limits)> {
    let browser = Limits::webgpu_default();
    let gpu =
        Limits { f16: true, subgroup: Some(32), workgroup_memory: 32 << 10, invocations: 1024, ..browser.clone() };
    let cpu = Limits { kind: DeviceKind::Cpu, f16: true, subgroup: Some(8), offset_alignment: 32, ..browser.clone() };
    let small = Limits {
        groups_per_dim: 16,
        workgroup_memory: 8 << 10,
        invocations: 64,
        workgroup_size_x: 64,
        loop_trips: 5_000,
        mul_adds_per_second: 1e8,
        ..browser.clone()
    };
    let matrix = |edge, lanes| Limits { f16: true, matrix: Some(MatrixUnit { edge, lanes }), ..browser.clone() };
    let (matrix16, matrix8) = (matrix(16, 64), matrix(8, 8));
    let matrix_small = Limits { loop_trips: 5_000, mul_adds_per_second: 1e8, groups_per_dim: 16, ..matrix(8, 64) };
    let tight = Limits { binding_bytes: 1 << 20, f16: true, ..browser.clone() };
    vec![
        ("browser", browser),
        ("gpu", gpu),
        ("cpu", cpu.clone()),
        ("cpu4", Limits { subgroup: Some(4), ..cpu }),
        ("small", small),
        ("tight", tight),
        ("matrix16", matrix16),
        ("matrix8", matrix8),
        ("matrix_small", matrix_small),
    ]
}
