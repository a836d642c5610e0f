//! Limits of adapters from bytes, absurd ones too.

use gatefold_core::Op;
use gatefold_shaders::{DeviceKind, Kernels, Limits, MatrixUnit};

use crate::draw::Draw;

/// A size that fits 32 bits.
fn narrow(draw: &mut Draw<'_>) -> u32 {
    u32::try_from(draw.size()).unwrap_or(u32::MAX)
}

/// Limits that adapters have.
fn real(draw: &mut Draw<'_>) -> Limits {
    let browser = Limits::webgpu_default();
    let matrix = |edge, lanes| Limits { f16: true, matrix: Some(MatrixUnit { edge, lanes }), ..browser.clone() };
    match draw.byte() % 7 {
        0 => browser,
        1 => Limits { f16: true, subgroup: Some(32), workgroup_memory: 32 << 10, invocations: 1024, ..browser },
        2 => Limits { kind: DeviceKind::Cpu, f16: true, subgroup: Some(8), offset_alignment: 32, ..browser },
        3 => Limits { kind: DeviceKind::Cpu, f16: true, subgroup: Some(4), offset_alignment: 32, ..browser },
        4 => Limits {
            groups_per_dim: 16,
            workgroup_memory: 8 << 10,
            invocations: 64,
            workgroup_size_x: 64,
            loop_trips: 5_000,
            mul_adds_per_second: 1e8,
            ..browser
        },
        5 => matrix(16, 64),
        _ => matrix(8, 8),
    }
}

/// Replaces one limit.
fn change(draw: &mut Draw<'_>, limits: &mut Limits) {
    match draw.byte() % 19 {
        0 => limits.kind = draw.pick(&[DeviceKind::Gpu, DeviceKind::Cpu]),
        1 => limits.workgroup_memory = narrow(draw),
        2 => limits.invocations = narrow(draw),
        3 => limits.workgroup_size_x = narrow(draw),
        4 => limits.storage_buffers = narrow(draw),
        5 => limits.groups_per_dim = narrow(draw),
        6 => limits.binding_bytes = draw.size(),
        7 => limits.buffer_bytes = draw.size(),
        8 => limits.offset_alignment = draw.pick(&[4, 16, 32, 64, 128, 256, 512, 4096]),
        9 => limits.f16 = !limits.f16,
        10 => limits.subgroup = draw.pick(&[None, Some(1), Some(4), Some(8), Some(16), Some(32), Some(64), Some(128)]),
        11 => {
            let units = [(8, 8), (8, 32), (8, 64), (16, 32), (16, 64), (16, 16)];
            let (edge, lanes) = draw.pick(&units);
            limits.matrix = (!draw.one_in(4)).then_some(MatrixUnit { edge, lanes });
        }
        12 => limits.wave = draw.pick(&[32, 64]),
        13 => limits.loop_trips = draw.size(),
        14 => limits.mul_adds_per_second = draw.float(),
        15 => limits.dispatch_seconds = draw.float(),
        16 => limits.busy_groups = draw.size(),
        17 => limits.least_share = draw.size(),
        _ => limits.mul_adds_per_second = draw.pick(&[f64::NAN, f64::INFINITY, -f64::INFINITY, 0.0, 1.0]),
    }
}

/// Limits for an op: those of an adapter, some replaced, now and then with tiles chosen as a tuner would, or as nobody would.
pub fn any<O: Op + Kernels>(draw: &mut Draw<'_>, op: &O) -> Limits {
    let mut limits = real(draw);
    for _ in 0..draw.byte() % 5 {
        change(draw, &mut limits);
    }
    if draw.one_in(3) {
        for class in op.classes(&limits) {
            let unknown = draw.one_in(4) || class.tiles.is_empty();
            let tile = if unknown { "nobody".into() } else { class.tiles[draw.below(class.tiles.len())].clone() };
            limits.choices.set(class.name, tile);
        }
    }
    limits
}
