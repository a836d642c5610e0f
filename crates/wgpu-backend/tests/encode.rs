//! Recording into the caller's encoder, over the caller's buffers and device.

mod fixture;

use fixture::{COUNT, gpu, scale_expected, scale_inputs, scale_operands, scale_plan};
use gatefold_wgpu::{Bindings, Dtype, Gpu, Operand, Plan, RunError, wgpu};
use wgpu::BufferUsages as Usage;

fn buffer(gpu: &Gpu, size: u64, usage: Usage) -> wgpu::Buffer {
    gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
}

fn encoder(gpu: &Gpu) -> wgpu::CommandEncoder {
    gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
}

/// Submits and reads `bytes` of a buffer.
fn read(gpu: &Gpu, mut encoder: wgpu::CommandEncoder, from: &wgpu::Buffer, offset: u64, bytes: u64) -> Vec<f32> {
    let staging = buffer(gpu, bytes, Usage::MAP_READ | Usage::COPY_DST);
    encoder.copy_buffer_to_buffer(from, offset, &staging, 0, bytes);
    gpu.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |result| result.unwrap());
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let view = staging.get_mapped_range(..).unwrap();
    view.chunks_exact(4).map(|c| f32::from_le_bytes(c.try_into().unwrap())).collect()
}

const ALL: Usage = Usage::STORAGE.union(Usage::COPY_SRC).union(Usage::COPY_DST);

#[test]
fn own_buffers_and_offsets_give_the_same_bits() {
    let gpu = gpu();
    let (x_at, y_at) = (256, 512);
    let (inputs, own, result) = (scale_inputs(), buffer(&gpu, 1024, ALL), buffer(&gpu, 1024, ALL));
    let offset = buffer(&gpu, 64, Usage::COPY_SRC | Usage::COPY_DST);
    gpu.queue().write_buffer(&own, x_at, inputs["x"].bytes());
    gpu.queue().write_buffer(&offset, 8, inputs["offset"].bytes());
    let bindings = Bindings::new().bind("x", &own, x_at).bind("offset", &offset, 8).bind("y", &result, y_at);
    let mut encoder = encoder(&gpu);
    gpu.encode(&scale_plan(), &scale_operands(), &mut encoder, &bindings).unwrap();
    assert_eq!(read(&gpu, encoder, &result, y_at, u64::from(COUNT) * 4), scale_expected());
}

#[test]
fn a_plan_without_steps_clears_the_output() {
    let gpu = gpu();
    let own = buffer(&gpu, 64, ALL);
    gpu.queue().write_buffer(&own, 0, &[0xFF; 64]);
    let operands = [Operand::output("y", [4], Dtype::F32)];
    let mut encoder = encoder(&gpu);
    let plan = Plan { op: "nothing", ..Plan::default() };
    gpu.encode(&plan, &operands, &mut encoder, &Bindings::new().bind("y", &own, 16)).unwrap();
    let got = read(&gpu, encoder, &own, 0, 64);
    assert_eq!(got[4..8], [0.0; 4]);
    assert!(got[..4].iter().chain(&got[8..]).all(|v| v.is_nan()));
}

#[test]
fn unfit_buffers_are_named() {
    let gpu = gpu();
    let bytes = u64::from(COUNT) * 4;
    let good = [buffer(&gpu, bytes, ALL), buffer(&gpu, 4, ALL), buffer(&gpu, bytes, ALL)];
    let bind = |x: Option<(&wgpu::Buffer, u64)>, y: (&wgpu::Buffer, u64)| {
        let mut bindings = Bindings::new().bind("offset", &good[1], 0).bind("y", y.0, y.1);
        if let Some((x, at)) = x {
            bindings = bindings.bind("x", x, at);
        }
        match gpu.encode(&scale_plan(), &scale_operands(), &mut encoder(&gpu), &bindings) {
            Ok(()) => String::new(),
            Err(RunError::Binding { operand, expected, given }) => format!("{operand}: {expected} / {given}"),
            Err(other) => panic!("{other}"),
        }
    };
    let y = (&good[2], 0);
    assert_eq!(bind(None, y), "x: a buffer of 400 bytes / none");
    assert!(bind(Some((&good[0], 4)), y).starts_with("x: an offset that is a multiple of"));
    assert_eq!(bind(Some((&good[0], 256)), y), "x: 400 bytes at offset 256 / a buffer of 400 bytes");
    assert!(bind(Some((&buffer(&gpu, bytes, Usage::COPY_DST), 0)), y).starts_with("x: a buffer with usage"));
    let both = buffer(&gpu, 2048, ALL);
    assert!(bind(Some((&both, 0)), (&both, 1024)).starts_with("y: a buffer that no input"));
    assert_eq!(bind(Some((&good[0], 0)), y), "");
    let strange = Bindings::new().bind("z", &good[0], 0);
    let error = gpu.encode(&scale_plan(), &scale_operands(), &mut encoder(&gpu), &strange).unwrap_err();
    assert!(matches!(&error, RunError::Binding { operand, .. } if operand == "z"), "{error}");
}
