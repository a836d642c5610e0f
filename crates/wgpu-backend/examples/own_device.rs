//! The caller's own device, buffers and command encoder: nothing is submitted or read back behind the caller's back.
use gatefold_wgpu::attention::Dims;
use gatefold_wgpu::{Attention, Bindings, Gpu, Op, wgpu};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    pollster::block_on(run())
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default()).await?;
    let (device, queue) = adapter.request_device(&wgpu::DeviceDescriptor::default()).await?;
    let gpu = Gpu::from_device(&adapter.get_info(), device.clone(), queue.clone())?;

    let attention = Attention::sigmoid(Dims::new(1, 2, 64, 32));
    let plan = gpu.plan(&attention)?;
    println!("{plan}");

    let bytes: u64 = attention.operands()[0].bytes();
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
    let buffer = |label| {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: Some(label),
            size: bytes,
            usage,
            mapped_at_creation: false,
        })
    };
    let (q, k, v, o) = (buffer("q"), buffer("k"), buffer("v"), buffer("o"));
    let ones = vec![1.0f32; 2 * 64 * 32];
    for input in [&q, &k, &v] {
        queue.write_buffer(input, 0, &ones.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
    }

    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    let bindings = Bindings::new().bind("q", &q, 0).bind("k", &k, 0).bind("v", &v, 0).bind("o", &o, 0);
    // Checked and bound once; recorded as often as needed.
    let prepared = gpu.prepare(&plan, &attention.operands(), &bindings)?;
    prepared.encode(&mut encoder)?;
    let staging = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("staging"),
        size: bytes,
        usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    encoder.copy_buffer_to_buffer(&o, 0, &staging, 0, bytes);
    queue.submit([encoder.finish()]);
    staging.map_async(wgpu::MapMode::Read, .., |_| {});
    device.poll(wgpu::PollType::wait_indefinitely())?;
    let first = f32::from_le_bytes(staging.get_mapped_range(..4)?[..4].try_into()?);

    // All keys are alike: o = 64·σ(32/√32 − ln 64).
    let want = 64.0 / (1.0 + (-(32f64.sqrt() - 64f64.ln())).exp());
    println!("o[0] = {first}, expected {want:.5}");
    assert!((f64::from(first) - want).abs() < 1e-3);
    Ok(())
}
