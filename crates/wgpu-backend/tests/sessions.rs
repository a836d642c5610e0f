//! What a session's runs leave in kept buffers is cleared before others may have them.

mod fixture;

use fixture::{double, doubled, numbers};
use gatefold_wgpu::{Gpu, Operand, Options, Plan, RunOptions, Tensor, Tensors, wgpu};

const COUNT: u32 = 5_000;

/// Sixteen bytes that no op makes by chance.
const CANARY: [u32; 4] = [0x5EC2_E701, 0x5EC2_E702, 0x5EC2_E703, 0x5EC2_E704];

fn open(mapped: bool) -> Gpu {
    Gpu::open(&Options { probe: false, mapped, ..Options::default() }).unwrap()
}

/// Inputs full of the canary. Their doubles are full of its double.
fn secret() -> Tensors {
    let x: Vec<u32> = CANARY.into_iter().cycle().take(COUNT as usize).collect();
    Tensors::new().with("x", Tensor::u32([COUNT as usize], x).unwrap())
}

fn run(gpu: &Gpu, (plan, operands): &(Plan, [Operand; 2]), inputs: &Tensors) -> Vec<u32> {
    let ran = gpu.run_plan(plan, operands, inputs, &RunOptions::default()).unwrap();
    ran.outputs["y"].as_u32().unwrap().to_vec()
}

/// The contents of a buffer, by a copy of the test's own.
fn contents(gpu: &Gpu, buffer: &wgpu::Buffer) -> Vec<u8> {
    let (device, size) = (gpu.device(), buffer.size());
    let map = |buffer: &wgpu::Buffer| {
        buffer.map_async(wgpu::MapMode::Read, .., |mapped| mapped.unwrap());
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let bytes = buffer.get_mapped_range(..).unwrap().to_vec();
        buffer.unmap();
        bytes
    };
    if !buffer.usage().contains(wgpu::BufferUsages::COPY_SRC) {
        assert!(buffer.usage().contains(wgpu::BufferUsages::MAP_READ), "{:?}", buffer.usage());
        return map(buffer);
    }
    let usage = wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ;
    let copy =
        device.create_buffer(&wgpu::BufferDescriptor { label: Some("copy"), size, usage, mapped_at_creation: false });
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    encoder.copy_buffer_to_buffer(buffer, 0, &copy, 0, size);
    gpu.queue().submit([encoder.finish()]);
    map(&copy)
}

/// How often the canary, or its double, lies in the buffers kept; and in how many buffers that was looked for.
fn hits(gpu: &Gpu) -> (usize, usize) {
    let bytes = |words: [u32; 4]| words.into_iter().flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    let canaries = [bytes(CANARY), bytes(CANARY.map(|word| word.wrapping_mul(2)))];
    let buffers = gpu.kept_buffers();
    let count = |buffer| {
        let contents = contents(gpu, buffer);
        contents.windows(16).step_by(4).filter(|window| canaries.iter().any(|c| c == window)).count()
    };
    (buffers.iter().map(count).sum(), buffers.len())
}

#[test]
fn nothing_of_a_session_is_left_when_it_has_ended() {
    let call = double(COUNT);
    for mapped in [true, false] {
        let gpu = open(mapped);
        // The same run without a session leaves its inputs and outputs behind: the search finds what there is.
        run(&gpu, &call, &secret());
        let (found, buffers) = hits(&gpu);
        println!("mapped {mapped}: {found} hits in {buffers} buffers without a session");
        assert!(found > 2_000 && buffers >= 3, "{found} hits in {buffers} buffers");
        gpu.trim();

        let session = gpu.session();
        run(&session, &call, &secret());
        // A session's own runs may have what it left; nobody else sees it.
        assert!(hits(&session).0 > 2_000);
        assert_eq!(hits(&gpu), (0, 0));
        session.end().unwrap();
        let (found, buffers) = hits(&gpu);
        println!("mapped {mapped}: {found} hits in {buffers} buffers after a session");
        assert_eq!(found, 0);
        assert!(buffers >= 3, "{buffers}");
    }
}

#[test]
fn a_dropped_session_is_cleared_too_and_its_buffers_serve_the_next() {
    let (gpu, call) = (open(true), double(COUNT));
    let leave = || {
        let session = gpu.session();
        run(&session, &call, &secret());
    };
    leave();
    let kept = gpu.kept_bytes();
    assert!(kept > 2 * 4 * u64::from(COUNT));
    assert_eq!(hits(&gpu).0, 0);
    leave();
    assert_eq!(gpu.kept_bytes(), kept);
    // What is taken over is right all the same, and the pipeline is there.
    let session = gpu.session();
    let (plan, operands) = &call;
    let ran = session.run_plan(plan, operands, &numbers(COUNT, 3), &RunOptions::default()).unwrap();
    assert_eq!(ran.outputs["y"].as_u32().unwrap(), doubled(COUNT, 3));
    assert_eq!(ran.compile_seconds, 0.0);
    assert_eq!(gpu.kept_bytes() + 4, 4, "taken over, not made anew");
}

#[test]
fn a_session_of_a_lost_device_ends_with_an_error_and_keeps_nothing() {
    let (gpu, call) = (open(true), double(COUNT));
    let session = gpu.session();
    run(&session, &call, &secret());
    gpu.device().destroy();
    assert!(session.end().is_err());
    assert_eq!(gpu.kept_bytes(), 0);
}

#[test]
fn threads_have_sessions_of_their_own() {
    let (gpu, call) = (open(true), double(COUNT));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (gpu, call) = (&gpu, &call);
            scope.spawn(move || {
                for round in 0..10 {
                    let first = thread * 1_000 + round;
                    let session = gpu.session();
                    assert_eq!(run(&session, call, &numbers(COUNT, first)), doubled(COUNT, first));
                }
            });
        }
    });
}

/// What it costs: shown, not judged, as other programs share this machine.
#[test]
fn the_cost_of_a_session_is_shown() {
    let (gpu, call) = (open(true), double(1 << 20));
    let inputs = numbers(1 << 20, 1);
    let timed = |f: &dyn Fn()| {
        let clock = std::time::Instant::now();
        f();
        clock.elapsed().as_secs_f64() * 1e3
    };
    let session = gpu.session();
    let ways: [&dyn Fn(); 3] = [&|| drop(run(&gpu, &call, &inputs)), &|| drop(run(&session, &call, &inputs)), &|| {
        drop(run(&gpu.session(), &call, &inputs))
    }];
    let mut all = [const { Vec::new() }; 3];
    for _ in 0..15 {
        ways.iter().zip(&mut all).for_each(|(way, times)| times.push(timed(way)));
    }
    let [plain, inside, each] = all.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[7]
    });
    println!("4 MiB in, 4 MiB out: {plain:.2} ms, in a session {inside:.2} ms, a session each {each:.2} ms");
}
