//! Recording into the caller's encoder, over the caller's buffers and device.

mod fixture;

use std::sync::Arc;

use fixture::{COUNT, gpu, scale_expected, scale_inputs, scale_operands, scale_plan};
use gatefold_wgpu::attention::{Dims, Dropout};
use gatefold_wgpu::{Attention, Bindings, Dtype, Gpu, Kernels, Op, Operand, Plan, RunError, Tensor, Tensors, wgpu};
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
fn an_updated_operand_shares_no_buffer_and_is_not_cleared() {
    let gpu = gpu();
    let own = buffer(&gpu, 1024, ALL);
    gpu.queue().write_buffer(&own, 0, &[0x3F; 1024]);
    let operands = [Operand::input("x", [4], Dtype::F32), Operand::updated("y", [4], Dtype::F32)];
    let plan = Plan { op: "nothing", ..Plan::default() };
    let mut encoder = encoder(&gpu);
    let both = Bindings::new().bind("x", &own, 0).bind("y", &own, 512);
    let error = gpu.encode(&plan, &operands, &mut encoder, &both).unwrap_err();
    assert!(matches!(&error, RunError::Binding { operand, .. } if operand == "y"), "{error}");
    let apart = Bindings::new().bind("x", &buffer(&gpu, 16, ALL), 0).bind("y", &own, 512);
    gpu.encode(&plan, &operands, &mut encoder, &apart).unwrap();
    assert_eq!(read(&gpu, encoder, &own, 512, 16), [f32::from_bits(0x3F3F_3F3F); 4]);
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

/// Recorded twice in one encoder and again in another, each time over what the buffers hold by then.
#[test]
fn a_prepared_plan_is_recorded_again_and_again() {
    let gpu = gpu();
    let bytes = u64::from(COUNT) * 4;
    let [x, offset, y] = [bytes, 16, bytes].map(|size| buffer(&gpu, size, ALL));
    let bindings = Bindings::new().bind("x", &x, 0).bind("offset", &offset, 0).bind("y", &y, 0);
    let prepared = gpu.prepare(&scale_plan(), &scale_operands(), &bindings).unwrap();
    for shift in [0.5f32, 3.0] {
        gpu.queue().write_buffer(&x, 0, scale_inputs()["x"].bytes());
        gpu.queue().write_buffer(&offset, 0, &shift.to_le_bytes());
        let mut encoder = encoder(&gpu);
        prepared.encode(&mut encoder).unwrap();
        // The second recording reads what the first one wrote.
        encoder.copy_buffer_to_buffer(&y, 0, &x, 0, bytes);
        prepared.encode(&mut encoder).unwrap();
        let want: Vec<f32> = scale_expected().iter().map(|once| (once - 0.5 + shift) * 2.0 + shift).collect();
        assert_eq!(read(&gpu, encoder, &y, 0, bytes), want);
    }
}

/// A call with NaN leaves its marks in scratch; the next recording must not see them.
#[test]
fn recordings_share_scratch_but_not_results() {
    let gpu = gpu();
    let spec = Attention::softmax(Dims::new(1, 1, 16, 8));
    let bytes = spec.operands()[0].bytes();
    let [q, k, v, o] = [(); 4].map(|()| buffer(&gpu, bytes, ALL));
    let bindings = Bindings::new().bind("q", &q, 0).bind("k", &k, 0).bind("v", &v, 0).bind("o", &o, 0);
    let prepared = gpu.prepare(&gpu.plan(&spec).unwrap(), &spec.operands(), &bindings).unwrap();
    for value in [f32::NAN, 1.0, f32::INFINITY, 1.0] {
        let write = |to: &wgpu::Buffer, x: f32| gpu.queue().write_buffer(to, 0, &x.to_le_bytes().repeat(16 * 8));
        write(&q, 1.0);
        write(&k, 1.0);
        write(&v, value);
        let mut encoder = encoder(&gpu);
        prepared.encode(&mut encoder).unwrap();
        let got = read(&gpu, encoder, &o, 0, bytes);
        let wanted = |x: &f32| if value.is_finite() { (x - value).abs() < 1e-5 } else { x.is_nan() };
        assert!(got.iter().all(wanted), "{value}: {got:?}");
    }
}

/// A training loop's dropout: one plan, prepared once, and eight bytes written for each step.
#[test]
fn a_prepared_plan_takes_a_seed_for_each_step() {
    let gpu = gpu();
    let dropping = |dropout| Attention { dropout: Some(dropout), ..Attention::softmax(Dims::new(1, 2, 33, 8)) };
    let spec = dropping(Dropout { seed_input: true, ..Dropout::new(0.5, 7) });
    let bytes = spec.operands()[0].bytes();
    let [q, k, v, o] = [(); 4].map(|()| buffer(&gpu, bytes, ALL));
    let seed = buffer(&gpu, 8, ALL);
    let rows = |at: u32| {
        (0..528u32).map(|n| f32::from_bits(0x3f80_0000 + n * 7919 * at % 0x7f_ffff) - 1.5).collect::<Vec<f32>>()
    };
    let mut inputs = Tensors::new();
    for (at, (name, to)) in (1..).zip([("q", &q), ("k", &k), ("v", &v)]) {
        let t = Tensor::f32([1, 2, 33, 8], rows(at)).unwrap();
        gpu.queue().write_buffer(to, 0, t.bytes());
        inputs.insert(name, t);
    }
    let bindings = Bindings::new().bind("q", &q, 0).bind("k", &k, 0).bind("v", &v, 0).bind("o", &o, 0);
    let bindings = bindings.bind("dropout_seed", &seed, 0);
    let prepared = gpu.prepare(&gpu.plan(&spec).unwrap(), &spec.operands(), &bindings).unwrap();
    let mut outputs: Vec<Vec<f32>> = Vec::new();
    for step in [0u64, 1, 1 << 35, 0xfedc_ba98_7654_3210] {
        gpu.queue().write_buffer(&seed, 0, &step.to_le_bytes());
        let mut encoder = encoder(&gpu);
        prepared.encode(&mut encoder).unwrap();
        let got = read(&gpu, encoder, &o, 0, bytes);
        let fixed = gpu.run_tensors(&dropping(Dropout::new(0.5, 7 ^ step)), &inputs).unwrap();
        assert_eq!(got, fixed["o"].to_f32(), "step {step}");
        assert!(outputs.iter().all(|other| *other != got), "step {step}");
        outputs.push(got);
    }
}

#[test]
fn a_prepared_plan_outlives_its_gpu_and_knows_when_the_device_is_lost() {
    let gpu = gpu();
    let own = [(); 3].map(|()| buffer(&gpu, u64::from(COUNT) * 4, ALL));
    let bindings = Bindings::new().bind("x", &own[0], 0).bind("offset", &own[1], 0).bind("y", &own[2], 0);
    let prepared = gpu.prepare(&scale_plan(), &scale_operands(), &bindings).unwrap();
    let (device, queue) = (gpu.device().clone(), gpu.queue().clone());
    drop(gpu);
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    prepared.encode(&mut encoder).unwrap();
    queue.submit([encoder.finish()]);
    device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    device.destroy();
    device.poll(wgpu::PollType::Poll).unwrap();
    let error = prepared.encode(&mut encoder).unwrap_err();
    assert!(matches!(error, RunError::DeviceLost { .. }), "{error}");
}

#[test]
fn plans_are_kept_by_spec_and_the_oldest_forgotten() {
    let gpu = gpu();
    let spec = |seq| Attention::softmax(Dims::new(1, 1, seq, 8));
    let first = gpu.plan(&spec(1)).unwrap();
    assert!(Arc::ptr_eq(&first, &gpu.plan(&spec(1)).unwrap()));
    for seq in 2..100 {
        let (kept, made) = (gpu.plan(&spec(seq)).unwrap(), Kernels::plan(&spec(seq), gpu.limits()).unwrap());
        // The device adds why each of its fast paths is taken or not.
        assert!(kept.reasons.starts_with(&made.reasons), "{kept}");
        assert_eq!(*kept, Plan { reasons: kept.reasons.clone(), ..made });
    }
    let again = gpu.plan(&spec(1)).unwrap();
    assert!(!Arc::ptr_eq(&first, &again) && first == again);
}
