//! The three ops end to end: upload, kernels, read back. `cargo xtask bench` times the kernels alone.

#![allow(missing_docs, reason = "criterion's macros make a public function without documentation")]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gatefold_benches::{attentions, backward_inputs, gpu, inputs, softmax};
use gatefold_wgpu::{Op, RunOptions};

/// Attention forward. Throughput in FLOPs by definition (shown as elements).
fn forward(c: &mut Criterion) {
    let gpu = gpu();
    let mut group = c.benchmark_group("attention");
    for seq in [128, 512] {
        for (name, op) in attentions(8, seq, 64) {
            let given = inputs(&op);
            group.throughput(flops(&op));
            group.bench_function(BenchmarkId::new(name, seq), |b| b.iter(|| gpu.run_tensors(&op, &given)));
        }
    }
    group.finish();
}

/// Attention backward, from the saved outputs of the forward pass.
fn backward(c: &mut Criterion) {
    let gpu = gpu();
    let mut group = c.benchmark_group("attention_backward");
    for seq in [128, 512] {
        for (name, forward) in attentions(8, seq, 64) {
            let (op, given) = backward_inputs(&gpu, &forward);
            let plan = gpu.plan(&op).unwrap_or_else(|e| panic!("{name}: {e}"));
            group.throughput(flops(&op));
            group.bench_function(BenchmarkId::new(name, seq), |b| {
                b.iter(|| gpu.run_plan(&plan, &op.operands(), &given, &RunOptions::default()));
            });
        }
    }
    group.finish();
}

/// Row-wise softmax, short rows and long ones.
fn rowwise(c: &mut Criterion) {
    let gpu = gpu();
    let mut group = c.benchmark_group("rowwise_softmax");
    for cols in [1 << 10, 1 << 16] {
        let op = softmax((1 << 20) / cols, cols);
        let given = inputs(&op);
        group.throughput(Throughput::Bytes(op.operands().iter().map(|o| o.bytes()).sum()));
        group.bench_function(BenchmarkId::from_parameter(cols), |b| b.iter(|| gpu.run_tensors(&op, &given)));
    }
    group.finish();
}

/// FLOPs of an op as a throughput.
fn flops<O: Op>(op: &O) -> Throughput {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number well below 2^53")]
    let count = op.cost().flops as u64;
    Throughput::Elements(count)
}

/// Few samples: a software driver takes its time.
fn patient() -> Criterion {
    Criterion::default().sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
}

criterion_group! {
    name = benches;
    config = patient();
    targets = forward, backward, rowwise
}
criterion_main!(benches);
