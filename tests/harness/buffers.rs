//! Buffers of a test's own on the adapter.

use gatefold_wgpu::{Gpu, wgpu};
use wgpu::BufferUsages as Usage;

fn made(gpu: &Gpu, size: u64, usage: Usage) -> wgpu::Buffer {
    let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
    gpu.device().create_buffer(&descriptor)
}

/// A buffer that kernels can bind, of that many bytes.
pub fn buffer(gpu: &Gpu, bytes: u64) -> wgpu::Buffer {
    made(gpu, bytes, Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST)
}

/// What a buffer holds once all that was submitted is done.
///
/// # Panics
/// If the device does not give it.
pub fn read(gpu: &Gpu, source: &wgpu::Buffer) -> Vec<u8> {
    let staging = made(gpu, source.size(), Usage::MAP_READ | Usage::COPY_DST);
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(source, 0, &staging, 0, source.size());
    gpu.queue().submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |result| result.expect("the staging buffer is mapped"));
    gpu.device().poll(wgpu::PollType::wait_indefinitely()).expect("the device goes on");
    staging.get_mapped_range(..).expect("the range is mapped").to_vec()
}
