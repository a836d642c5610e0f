//! The warm path allocates nothing: counted, and compared with the same calls to wgpu made by hand.

mod fixture;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use fixture::{COUNT, SCALE, gpu, scale_operands, scale_plan};
use gatefold_wgpu::attention::Dims;
use gatefold_wgpu::{Attention, Bindings, Gpu, RowFunction, Rowwise, wgpu};
use wgpu::BufferUsages as Usage;

thread_local! {
    static COUNTED: Cell<u64> = const { Cell::new(0) };
}

/// Counts this thread's allocations.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; the counter neither allocates nor needs to be dropped.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNTED.set(COUNTED.get() + 1);
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller's.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNTED.set(COUNTED.get() + 1);
        // SAFETY: as the caller's.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn counted(f: impl FnOnce()) -> u64 {
    let before = COUNTED.get();
    f();
    COUNTED.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(counted(|| drop(std::hint::black_box(vec![1u8]))), 1);
    assert_eq!(counted(|| ()), 0);
}

#[test]
fn a_known_spec_is_planned_without_an_allocation() {
    let gpu = gpu();
    let attention = Attention::sigmoid(Dims::new(1, 2, 128, 64));
    let rowwise = Rowwise::new(RowFunction::Softmax, 8, 64);
    let first = gpu.plan(&attention).unwrap();
    gpu.plan(&rowwise).unwrap();
    let again = attention.clone();
    let mut second = None;
    assert_eq!(counted(|| second = Some(gpu.plan(&again).unwrap())), 0);
    assert_eq!(second.unwrap(), first);
    // Another size is another plan, and that is made.
    let other = Attention { dims: Dims::new(1, 2, 64, 64), ..attention };
    assert!(counted(|| assert_ne!(gpu.plan(&other).unwrap(), first)) > 0);
}

fn buffer(gpu: &Gpu, size: u64, usage: Usage) -> wgpu::Buffer {
    gpu.device().create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false })
}

/// The scale op as its author would write it for wgpu alone.
struct ByHand {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    offset: wgpu::Buffer,
    shift: wgpu::Buffer,
}

impl ByHand {
    fn new(gpu: &Gpu, x: &wgpu::Buffer, offset: &wgpu::Buffer, y: &wgpu::Buffer) -> Self {
        let device = gpu.device();
        let entry = |binding, ty, has_dynamic_offset| wgpu::BindGroupLayoutEntry {
            binding,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None },
            count: None,
        };
        let storage = |read_only| wgpu::BufferBindingType::Storage { read_only };
        let entries = [
            entry(0, wgpu::BufferBindingType::Uniform, true),
            entry(1, storage(true), false),
            entry(2, storage(true), false),
            entry(3, storage(false), false),
        ];
        let layout =
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
        let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let source = wgpu::ShaderSource::Wgsl(SCALE.into());
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: None,
            layout: Some(&pipeline_layout),
            module: &module,
            entry_point: Some("main"),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        let params = buffer(gpu, 256, Usage::UNIFORM | Usage::COPY_DST);
        let shift = buffer(gpu, 16, Usage::STORAGE | Usage::COPY_DST);
        let bind = |binding, buffer| {
            let size = wgpu::BufferSize::new(if binding == 0 { 16 } else { buffer_bytes(buffer) });
            let resource = wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer, offset: 0, size });
            wgpu::BindGroupEntry { binding, resource }
        };
        let entries = [bind(0, &params), bind(1, x), bind(2, &shift), bind(3, y)];
        let group =
            device.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout: &layout, entries: &entries });
        Self { pipeline, group, offset: offset.clone(), shift }
    }

    fn encode(&self, encoder: &mut wgpu::CommandEncoder) {
        encoder.copy_buffer_to_buffer(&self.offset, 0, &self.shift, 0, 4);
        let descriptor = wgpu::ComputePassDescriptor { label: Some("scale"), timestamp_writes: None };
        let mut pass = encoder.begin_compute_pass(&descriptor);
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[0]);
        pass.dispatch_workgroups(COUNT.div_ceil(64), 1, 1);
    }
}

fn buffer_bytes(buffer: &wgpu::Buffer) -> u64 {
    buffer.size()
}

/// Allocations of `record` in each of ten encoders.
fn allocations(gpu: &Gpu, record: impl Fn(&mut wgpu::CommandEncoder)) -> Vec<u64> {
    let once = |_| {
        let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let count = counted(|| record(&mut encoder));
        gpu.queue().submit([encoder.finish()]);
        gpu.device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
        count
    };
    (0..10).map(once).collect()
}

#[test]
fn a_prepared_plan_is_recorded_with_the_allocations_of_wgpu_alone() {
    let gpu = gpu();
    let all = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
    let bytes = u64::from(COUNT) * 4;
    let [x, offset, y] = [bytes, 16, bytes].map(|size| buffer(&gpu, size, all));
    let bindings = Bindings::new().bind("x", &x, 0).bind("offset", &offset, 0).bind("y", &y, 0);
    let prepared = gpu.prepare(&scale_plan(), &scale_operands(), &bindings).unwrap();
    assert_eq!((prepared.dispatches(), prepared.scratch_bytes()), (1, 16));
    let by_hand = ByHand::new(&gpu, &x, &offset, &y);
    let ours = allocations(&gpu, |encoder| prepared.encode(encoder).unwrap());
    let theirs = allocations(&gpu, |encoder| by_hand.encode(encoder));
    println!("recording allocates {ours:?}, by hand {theirs:?}");
    // The first recording of a device may fill what wgpu keeps.
    assert_eq!(ours[1..], theirs[1..]);
}
