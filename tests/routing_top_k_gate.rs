//! What only a run can know of a gate: logits and indices that no host has looked at.

use gatefold_core::routing::{ELSEWHERE, NO_EXPERT, NO_ROW};
use gatefold_core::{Op, SpecError, Tensor, Tensors, TopKGate, TopKGateBackward};
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_cpu_ref::{Reference, bounded, outputs};
use gatefold_shaders::Kernels;
use gatefold_tests::compare::{compare, same_bits};
use gatefold_tests::gpu;
use gatefold_wgpu::RunOptions;

/// Runs what the host would refuse.
fn run_unchecked<O: Kernels>(op: &O, inputs: &Tensors) -> Tensors {
    let options = RunOptions { poison: Some(u32::MAX), guard: true, ..RunOptions::default() };
    let plan = op.plan(gpu().limits()).unwrap();
    let ran = gpu().run_plan(&plan, &op.operands(), inputs, &options).unwrap();
    assert_eq!(ran.faults, Vec::<String>::new());
    ran.outputs
}

fn normal(dims: [usize; 2], seed: u64) -> Tensor {
    let numbers = Family::Normal(1.0).fill(&mut Rng::new(seed, 3), dims[0], dims[1]);
    Tensor::f32(dims, numbers).unwrap()
}

#[test]
fn nan_logits_are_told_wherever_they_are() {
    for (tokens, experts, at) in
        [(1, 8, vec![]), (9, 8, vec![70, 3, 71]), (300, 40, vec![11_999, 7_000]), (5, 7, vec![0])]
    {
        let op = TopKGate::mixtral(tokens, experts, 3);
        let mut numbers = normal([tokens, experts], 1).to_f32();
        at.iter().for_each(|&i: &usize| numbers[i] = f32::NAN);
        let inputs = Tensors::new().with("logits", Tensor::f32([tokens, experts], numbers).unwrap());
        let made = run_unchecked(&op, &inputs);
        let first = at.iter().min().map_or(NO_ROW, |&i| u32::try_from(i).unwrap());
        assert_eq!(made["rejected"].as_u32().unwrap(), [u32::try_from(at.len()).unwrap(), first]);
        match at.iter().min() {
            None => assert_eq!(op.check_outputs(&made), Ok(())),
            Some(&first) => {
                let refusal = SpecError::NonFiniteRouting { operand: "logits", first, count: at.len() };
                assert_eq!(op.check_outputs(&made), Err(refusal));
            }
        }
    }
}

#[test]
fn hostile_indices_are_empty_slots() {
    for forward in [TopKGate::minimax(40, 12, 4), TopKGate::switch(40, 12, 4), TopKGate::gpt_oss(40, 12, 4)] {
        let op = TopKGateBackward::new(forward);
        let given = Tensors::new().with("logits", normal([40, 12], 2)).with("d_weights", normal([40, 4], 3));
        let bias = Tensor::f32([12], vec![0.25; 12]).unwrap();
        let given = given.with_some("logit_bias", op.forward.logit_bias.then_some(bias));
        let chosen = op.complete(given.clone())["indices"].as_u32().unwrap().to_vec();
        let with = |hostile: &[u32]| {
            let replaced = |(at, &index): (usize, &u32)| if at % 3 == 0 { hostile[at % hostile.len()] } else { index };
            let words: Vec<u32> = chosen.iter().enumerate().map(replaced).collect();
            given.clone().with("indices", Tensor::u32([40, 4], words).unwrap())
        };
        let empty = with(&[NO_EXPERT]);
        let exact = run_unchecked(&op, &empty);
        assert!(compare(&bounded(&op, &empty), &exact).unwrap().ratio <= 1.0);
        let hostile = with(&[12, u32::MAX, ELSEWHERE | 12, 1 << 30, NO_EXPERT - 1]);
        same_bits(&run_unchecked(&op, &hostile), &exact).unwrap();
    }
}

#[test]
fn runs_are_bit_equal() {
    let op = TopKGate { lse: true, scores: true, ..TopKGate::activation_dense_to_sparse(500, 40, 6) };
    let given = Tensors::new()
        .with("logits", normal([500, 40], 4))
        .with("logit_bias", Tensor::f32([40], normal([1, 40], 5).to_f32()).unwrap())
        .with("temperature", Tensor::f32([1], vec![0.5]).unwrap());
    let first = gpu().run_tensors(&op, &given).unwrap();
    assert_eq!(first["indices"], outputs(&op, &given)["indices"]);
    let back = TopKGateBackward::new(op.clone());
    let upstream = given.clone().with("d_weights", normal([500, 6], 6)).with("indices", first["indices"].clone());
    let gradient = gpu().run_tensors(&back, &upstream).unwrap();
    for _ in 0..10 {
        same_bits(&first, &gpu().run_tensors(&op, &given).unwrap()).unwrap();
        same_bits(&gradient, &gpu().run_tensors(&back, &upstream).unwrap()).unwrap();
    }
}
