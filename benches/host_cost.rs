//! What a call costs on the host, whatever the kernel does: plan, link, a pipeline from the cache, encode.

#![allow(missing_docs, reason = "criterion's macros make a public function without documentation")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use gatefold_benches::{attentions, backward_inputs, gpu, inputs, softmax};
use gatefold_shaders::link::link;
use gatefold_wgpu::wgpu::{self, BufferUsages};
use gatefold_wgpu::{
    Bindings, Dispatch, Dtype, Gpu, Kernels, Limits, Op, Operand, Options, Plan, RunOptions, Source, Step, Tensor,
    Tensors,
};

/// A spec to a plan: pure, no adapter.
fn plan(c: &mut Criterion) {
    let limits = Limits { f16: true, ..Limits::webgpu_default() };
    let mut group = c.benchmark_group("plan");
    for (name, op) in attentions(8, 1024, 64) {
        group.bench_function(name, |b| b.iter(|| black_box(&op).plan(&limits)));
    }
    let op = softmax(1024, 4096);
    group.bench_function("rowwise", |b| b.iter(|| black_box(&op).plan(&limits)));
    group.finish();
}

/// A step to a validated module: paid once per variant.
fn link_cost(c: &mut Criterion) {
    let limits = Limits::webgpu_default();
    let mut group = c.benchmark_group("link");
    for (name, op) in attentions(8, 1024, 64) {
        let plan = op.plan(&limits).unwrap_or_else(|e| panic!("{name}: {e}"));
        group.bench_function(name, |b| b.iter(|| link(black_box(&plan.steps[0]))));
    }
    group.finish();
}

/// Buffers of all operands, bound by name.
fn buffers<O: Op>(gpu: &Gpu, op: &O) -> Bindings {
    let usage = BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST;
    let make = |size| {
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        gpu.device().create_buffer(&descriptor)
    };
    op.operands().iter().fold(Bindings::new(), |all, o| all.bind(o.name, &make(o.bytes().max(16)), 0))
}

/// Records with `record` and finishes, again and again. What was written to the queue is submitted outside of the measured time: else it
/// would pile up.
fn recorded(b: &mut criterion::Bencher<'_>, gpu: &Gpu, mut record: impl FnMut(&mut wgpu::CommandEncoder)) {
    let submitted = || gpu.queue().submit([]);
    let routine = |_| {
        let mut encoder = gpu.device().create_command_encoder(&Default::default());
        record(&mut encoder);
        encoder.finish()
    };
    b.iter_batched(submitted, routine, criterion::BatchSize::PerIteration);
}

/// A warm call on the caller's buffers without its device work: a known spec to its plan, then into a command encoder.
/// `prepared` binds beforehand, `plan_bind_encode` each time. `empty` is what the encoder itself costs.
fn encode(c: &mut Criterion) {
    let gpu = gpu();
    let mut group = c.benchmark_group("encode");
    group.bench_function("empty", |b| recorded(b, &gpu, |_| {}));
    for (name, op) in attentions(2, 128, 64) {
        let plan = || gpu.plan(&op).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (operands, bindings) = (op.operands(), buffers(&gpu, &op));
        let prepare = || gpu.prepare(&plan(), &operands, &bindings).unwrap_or_else(|e| panic!("{name}: {e}"));
        let prepared = prepare();
        group.bench_function(format!("{name}/plan"), |b| b.iter(plan));
        group.bench_function(format!("{name}/plan_bind"), |b| {
            b.iter_batched(|| gpu.queue().submit([]), |_| prepare(), criterion::BatchSize::PerIteration);
        });
        group.bench_function(format!("{name}/prepared"), |b| {
            recorded(b, &gpu, |encoder| prepared.encode(encoder).unwrap_or_else(|e| panic!("{name}: {e}")));
        });
        group.bench_function(format!("{name}/plan_bind_encode"), |b| {
            recorded(b, &gpu, |encoder| {
                gpu.encode(&plan(), &operands, encoder, &bindings).unwrap_or_else(|e| panic!("{name}: {e}"));
            });
        });
    }
    group.finish();
}

/// A whole call on tiny tensors, pipelines from the cache: upload, submit, wait, read back. Beside it the first call on a new device.
fn call(c: &mut Criterion) {
    let gpu = gpu();
    let mut group = c.benchmark_group("call");
    group.sample_size(20);
    for (name, op) in attentions(1, 16, 16) {
        let given = inputs(&op);
        group.bench_function(format!("{name}/cache_hit"), |b| b.iter(|| gpu.run_tensors(&op, &given)));
    }
    let (backward, given) = backward_inputs(&gpu, &attentions(1, 16, 16)[1].1);
    let plan = gpu.plan(&backward).unwrap_or_else(|e| panic!("backward: {e}"));
    group.bench_function("sigmoid_backward/cache_hit", |b| {
        b.iter(|| gpu.run_plan(&plan, &backward.operands(), &given, &RunOptions::default()));
    });
    let tiny = softmax(4, 16);
    let given = inputs(&tiny);
    let fresh = || gpu.reopen().unwrap_or_else(|e| panic!("reopen: {e}"));
    group.bench_function("rowwise/cache_miss", |b| {
        b.iter_batched(fresh, |gpu| gpu.run_tensors(&tiny, &given), criterion::BatchSize::PerIteration);
    });
    group.finish();
}

/// One element each way: what is measured is the transfer of the other side.
const TOUCH: &str = "
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
@compute @workgroup_size(1)
fn main() { y[0] = x[0]; }
";

/// 64 MiB up or down through a run whose kernel does nothing, by each route.
fn transfer(c: &mut Criterion) {
    let large = (64 << 20) / 4;
    let step = Step {
        name: "touch".into(),
        kernel: Source { path: "touch.wgsl", text: TOUCH },
        slots: vec![],
        consts: vec![],
        aliases: vec![],
        f16: false,
        subgroups: false,
        matrix: false,
        binds: Vec::new(),
        dispatches: vec![Dispatch { grid: [1, 1, 1], params: vec![], windows: vec![] }],
        trips: 0,
        proven: false,
        loops: vec![],
    };
    let plan = Plan { op: "touch", steps: vec![step], ..Plan::default() };
    let mut group = c.benchmark_group("transfer");
    group.sample_size(10).throughput(criterion::Throughput::Bytes(64 << 20));
    for (route, mapped) in [("mapped", true), ("staged", false)] {
        let options = Options { mapped, ..Options::default() };
        let gpu = Gpu::open(&options).unwrap_or_else(|e| panic!("benches need an adapter: {e}"));
        for (name, up, down) in [("upload", large, 1), ("readback", 1, large)] {
            let operands = [Operand::input("x", [up], Dtype::U32), Operand::output("y", [down], Dtype::U32)];
            let x = Tensor::u32([up], vec![7; up]).unwrap_or_else(|e| panic!("{e}"));
            let inputs = Tensors::new().with("x", x);
            let run = || gpu.run_plan(&plan, &operands, &inputs, &RunOptions::default());
            group.bench_function(format!("{name}/{route}"), |b| b.iter(run));
        }
    }
    group.finish();
}

criterion_group!(benches, plan, link_cost, encode, call, transfer);
criterion_main!(benches);
