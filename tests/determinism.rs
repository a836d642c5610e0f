//! The same adapter, driver and plan give the same bits.

use gatefold_core::attention::{Causal, Dims};
use gatefold_core::{Attention, AttentionBackward, Gemm, Op, Role, RowFunction, Rowwise, RowwiseBackward, Tensors};
use gatefold_cpu_ref::Reference;
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_shaders::Kernels;
use gatefold_tests::compare::same_bits;
use gatefold_tests::gpu;

/// Normal numbers for every float input that `complete` does not derive.
fn draw<O: Reference>(op: &O, seed: u64) -> Tensors {
    let mut rng = Rng::new(seed, 9);
    let mut inputs = Tensors::new();
    for o in op.operands().into_iter().filter(|o| o.role == Role::Input) {
        let numbers = Family::Normal(1.0).fill(&mut rng, o.len(), 1);
        inputs.insert(o.name, gatefold_core::Tensor::float(o.dtype, o.dims, numbers).unwrap());
    }
    inputs
}

/// Runs an op over and over; the first outputs.
fn repeat<O: Reference + Kernels>(op: &O, inputs: &Tensors, times: usize) -> Tensors {
    let first = gpu().run_tensors(op, inputs).unwrap();
    for run in 1..times {
        let again = gpu().run_tensors(op, inputs).unwrap();
        same_bits(&first, &again).unwrap_or_else(|e| panic!("{} run {run}: {e}", O::NAME));
    }
    first
}

fn twenty_times(forward: &Attention) {
    let forward = forward.clone().saving(true);
    let inputs = draw(&forward, 5);
    let made = repeat(&forward, &inputs, 20);
    let backward = AttentionBackward::new(forward);
    let mut inputs = inputs;
    for o in backward.operands().into_iter().filter(|o| o.role == Role::Input) {
        if inputs.get(o.name).is_some() {
            continue;
        }
        let numbers = Family::Normal(1.0).fill(&mut Rng::new(6, 9), o.len(), 1);
        let drawn = || gatefold_core::Tensor::float(o.dtype, o.dims.clone(), numbers).unwrap();
        inputs.insert(o.name, made.get(o.name).cloned().unwrap_or_else(drawn));
    }
    repeat(&backward, &inputs, 20);
}

#[test]
fn softmax_forward_and_backward() {
    let dims = Dims { q_heads: 4, kv_heads: 2, seq_q: 97, seq_kv: 131, ..Dims::new(2, 4, 1, 40) };
    twenty_times(&Attention { head_bias: true, causal: Causal::BottomRight, ..Attention::softmax(dims) });
}

#[test]
fn sigmoid_forward_and_backward() {
    let dims = Dims { q_heads: 4, kv_heads: 1, seq_q: 129, seq_kv: 65, val_dim: 33, ..Dims::new(1, 4, 1, 64) };
    twenty_times(&Attention { key_bias: true, alibi: true, ..Attention::sigmoid(dims) });
}

#[test]
fn rows_forward_and_backward() {
    for function in [RowFunction::Softmax, RowFunction::LogSoftmax, RowFunction::LogSumExp] {
        let forward = Rowwise::new(function, 13, 1_027);
        let x = draw(&forward, 7);
        let y = repeat(&forward, &x, 20)["y"].clone();
        let backward = RowwiseBackward { forward };
        let inputs = draw(&backward, 8);
        let inputs = if inputs.get("x").is_some() { inputs.with("x", x["x"].clone()) } else { inputs.with("y", y) };
        repeat(&backward, &inputs, 20);
    }
}

#[test]
fn products() {
    let base = Gemm { batch: 3, bias: true, ..Gemm::new(65, 70, 131) };
    repeat(&base, &draw(&base, 12), 20);
    let turned = Gemm { transpose_a: true, transpose_b: true, shared_b: true, ..base };
    repeat(&turned, &draw(&turned, 13), 20);
}

#[test]
fn a_row_does_not_depend_on_its_batch() {
    let one = Attention::softmax(Dims::new(1, 2, 70, 24));
    let many = Attention::softmax(Dims::new(6, 2, 70, 24));
    let inputs = draw(&many, 11);
    let entry = 2 * 70 * 24;
    let first: Tensors = inputs
        .iter()
        .map(|(name, t)| {
            let part = t.to_f32()[..entry].to_vec();
            (name.to_string(), gatefold_core::Tensor::f32([1, 2, 70, 24], part).unwrap())
        })
        .collect();
    let alone = gpu().run_tensors(&one, &first).unwrap()["o"].to_f32();
    let among = gpu().run_tensors(&many, &inputs).unwrap()["o"].to_f32();
    let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&alone), bits(&among[..entry]));
}
