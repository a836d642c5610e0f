//! The whole layer on the caller's buffers: recorded before its rows exist, so that nothing can have been read back; and what holds between layers.

use gatefold_core::routing::{
    ExpertFunction, Moe, MoeBackward, MoeCombine, MoeDispatch, NanLogits, Router, RoutingPlan, TopKGate,
};
use gatefold_core::{Op, Role, SpecError, Tensor, Tensors};
use gatefold_cpu_ref::data::{Family, Rng};
use gatefold_cpu_ref::{Reference, bounded, compare, outputs};
use gatefold_tests::buffers::{buffer, read};
use gatefold_tests::gpu;
use gatefold_wgpu::{Bindings, Gpu, Kernels, RunError, wgpu};

/// Records `op` into one encoder over empty buffers, then writes its inputs, then submits: what the host recorded cannot depend on them.
fn recorded_first<O: Kernels>(gpu: &Gpu, op: &O, inputs: &Tensors) -> Tensors {
    let operands = op.operands();
    let buffers: Vec<_> = operands.iter().map(|o| buffer(gpu, o.bytes().next_multiple_of(4).max(16))).collect();
    let bound = operands.iter().zip(&buffers).fold(Bindings::new(), |all, (o, b)| all.bind(o.name, b, 0));
    let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    gpu.encode(&gpu.plan(op).unwrap(), &operands, &mut encoder, &bound).unwrap();
    let commands = encoder.finish();
    for (o, buffer) in operands.iter().zip(&buffers).filter(|(o, _)| o.role == Role::Input) {
        gpu.queue().write_buffer(buffer, 0, inputs[o.name].bytes());
    }
    gpu.queue().submit([commands]);
    let made = operands.iter().zip(&buffers).filter(|(o, _)| o.role == Role::Output);
    let tensor = |o: &gatefold_core::Operand, b| Tensor::from_bytes(o.dtype, o.dims.clone(), &read(gpu, b)).unwrap();
    made.map(|(o, b)| (o.name.to_string(), tensor(o, b))).collect()
}

/// One command buffer, recorded before there is a row: no readback between `x` in and `o` out, forward or backward, with a plan or without one.
#[test]
fn nothing_is_read_back() {
    let gpu = gpu();
    for seed in [0, 6, 12, 13] {
        let case = Moe::case(seed);
        let made = recorded_first(gpu, &case.op, &case.inputs);
        let found = compare(&bounded(&case.op, &case.inputs), &made).unwrap();
        assert!(found.ratio <= 1.0, "seed {seed}: {}", found.describe());
        let case = MoeBackward::case(seed);
        let made = recorded_first(gpu, &case.op, &case.inputs);
        let found = compare(&bounded(&case.op, &case.inputs), &made).unwrap();
        assert!(found.ratio <= 1.0, "backward seed {seed}: {}", found.describe());
    }
}

/// Both ways through a layer, with a plan and without one, are taken in the cases above.
#[test]
fn few_assignments_need_no_plan() {
    let gpu = gpu();
    let steps = |tokens| {
        let op = Moe::new(Router::new(TopKGate::mixtral(tokens, 8, 2), 64), 48, ExpertFunction::SwiGlu);
        let plan = gpu.plan(&op).unwrap();
        plan.steps.iter().map(|s| s.name.clone()).collect::<Vec<_>>().join(" ")
    };
    assert!(steps(1).contains("moe_decode") && !steps(1).contains("grouped"), "{}", steps(1));
    assert!(!steps(64).contains("moe_decode") && steps(64).contains("grouped"), "{}", steps(64));
}

fn layer(tokens: usize, experts: usize, top_k: usize) -> Moe {
    Moe::new(Router::new(TopKGate::mixtral(tokens, experts, top_k), 16), 12, ExpertFunction::SwiGlu)
}

fn drawn(op: &Moe, seed: u64) -> Tensors {
    let mut rng = Rng::new(seed, 0xd0e);
    let tensor = |o: gatefold_core::Operand| {
        let numbers = Family::Normal(0.4).fill(&mut rng, o.len(), 1);
        (o.name.to_string(), Tensor::float(o.dtype, o.dims, numbers).unwrap())
    };
    op.operands().into_iter().filter(|o| o.role == Role::Input).map(tensor).collect()
}

/// Experts (or tokens) of a stack of matrices in another order.
fn reordered(t: &Tensor, axis: usize, order: &[usize]) -> Tensor {
    let dims = t.dims();
    let inner: usize = dims[axis + 1..].iter().product();
    let outer: usize = dims[..axis].iter().product();
    let numbers = t.to_f32();
    let mut moved = Vec::with_capacity(numbers.len());
    for block in 0..outer {
        for &at in order {
            moved.extend_from_slice(&numbers[(block * dims[axis] + at) * inner..][..inner]);
        }
    }
    Tensor::f32(dims.to_vec(), moved).unwrap()
}

/// TRUST's fifteenth property, first part: experts in another order are the same layer with other labels, bit for bit but for the order in which a
/// token's experts are ties of nothing.
#[test]
fn experts_in_another_order_are_relabelled() {
    let gpu = gpu();
    let (op, order) = (layer(40, 8, 2), [3, 1, 7, 0, 5, 2, 6, 4]);
    let inputs = drawn(&op, 1);
    let plain = gpu.run_tensors(&op, &inputs).unwrap();
    let mut other = inputs.clone();
    other.insert("w_gate", reordered(&inputs["w_gate"], 1, &order));
    for name in ["w_up", "w_down"] {
        other.insert(name, reordered(&inputs[name], 0, &order));
    }
    let moved = gpu.run_tensors(&op, &other).unwrap();
    let back: Vec<u32> =
        moved["indices"].as_u32().unwrap().iter().map(|&e| u32::try_from(order[e as usize]).unwrap()).collect();
    assert_eq!(plain["indices"].as_u32().unwrap(), back);
    let close = |name: &str, most: f32| {
        let (a, b) = (plain[name].to_f32(), moved[name].to_f32());
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() <= most), "{name}");
    };
    close("weights", 1e-6);
    close("o", 1e-5);
}

/// All experts chosen is the dense mixture; a capacity that nothing reaches is none, bit for bit; a token's row depends on no other token.
#[test]
fn what_must_agree_agrees() {
    let gpu = gpu();
    let all = layer(24, 4, 4);
    let inputs = drawn(&all, 2);
    let made = gpu.run_tensors(&all, &inputs).unwrap();
    let dense = dense_mixture(&all, &inputs);
    assert!(made["o"].to_f64().iter().zip(&dense).all(|(a, b)| (a - b).abs() < 1e-5));
    let op = layer(40, 8, 2);
    let inputs = drawn(&op, 3);
    let plain = gpu.run_tensors(&op, &inputs).unwrap();
    let roomy = gpu.run_tensors(&Moe { capacity: Some(40), ..op.clone() }, &inputs).unwrap();
    assert_eq!(plain["o"], roomy["o"]);
    // the last token becomes another one
    let mut x = inputs["x"].to_f32();
    x[39 * 16..].iter_mut().for_each(|x| *x = -*x);
    let other = gpu.run_tensors(&op, &inputs.clone().with("x", Tensor::f32([40, 16], x).unwrap())).unwrap();
    let (a, b) = (plain["o"].to_f32(), other["o"].to_f32());
    assert!(a[..39 * 16] == b[..39 * 16] && a[39 * 16..] != b[39 * 16..]);
}

/// `Σ_e p_te·expert_e(x_t)`: with all experts chosen, softmax over all logits, from one-expert layers of the reference.
fn dense_mixture(op: &Moe, inputs: &Tensors) -> Vec<f64> {
    let (tokens, experts) = (op.router.gate.tokens, op.router.gate.experts);
    let logits = outputs(&op.router, inputs)["logits"].to_f64();
    let mut sums = vec![0.0; inputs["x"].len()];
    for expert in 0..experts {
        let one = Moe { router: Router::new(TopKGate::mixtral(tokens, 1, 1), 16), ..op.clone() };
        let cut = |name: &str| {
            let t = &inputs[name];
            let size = t.len() / experts;
            let mut dims = t.dims().to_vec();
            dims[0] = 1;
            Tensor::f32(dims, t.to_f32()[expert * size..(expert + 1) * size].to_vec()).unwrap()
        };
        let gate = Tensor::f32([16, 1], vec![0.0; 16]).unwrap();
        let given = Tensors::new().with("x", inputs["x"].clone()).with("w_gate", gate);
        let y = outputs(&one, &given.with("w_up", cut("w_up")).with("w_down", cut("w_down")))["o"].to_f64();
        for token in 0..tokens {
            let row = &logits[token * experts..(token + 1) * experts];
            let total: f64 = row.iter().map(|z| z.exp()).sum();
            let share = row[expert].exp() / total;
            (0..16).for_each(|h| sums[token * 16 + h] += share * y[token * 16 + h]);
        }
    }
    sums
}

/// Experts that change nothing: what is dispatched and combined with weights that sum to one is what it was, but for the rounding of the sum.
#[test]
fn rows_come_back_from_experts_that_change_nothing() {
    let (gpu, tokens, top_k, hidden) = (gpu(), 50, 3, 20);
    let mut rng = Rng::new(5, 0xd0e);
    let logits = Tensor::f32([tokens, 7], Family::Normal(1.0).fill(&mut rng, tokens, 7)).unwrap();
    let routed = gpu.run_tensors(&TopKGate::mixtral(tokens, 7, top_k), &Tensors::new().with("logits", logits)).unwrap();
    let plan = RoutingPlan { block: 16, ..RoutingPlan::new(tokens, top_k, 7) };
    let planned = gpu.run_tensors(&plan, &Tensors::new().with("indices", routed["indices"].clone())).unwrap();
    let x = Tensor::f32([tokens, hidden], Family::Normal(1.0).fill(&mut rng, tokens, hidden)).unwrap();
    let given = Tensors::new().with("x", x.clone()).with("permutation", planned["permutation"].clone());
    let y = gpu.run_tensors(&MoeDispatch::new(tokens, top_k, hidden, plan.rows()), &given).unwrap()["y"].clone();
    let given = Tensors::new().with("y", y).with("weights", routed["weights"].clone());
    let given = given.with("inverse", planned["inverse"].clone());
    let o = gpu.run_tensors(&MoeCombine::new(tokens, top_k, hidden, plan.rows()), &given).unwrap()["o"].to_f32();
    let near = |(o, x): (&f32, f32)| (o - x).abs() <= 1e-6 * (1.0 + x.abs());
    assert!(o.iter().zip(x.to_f32()).all(near));
}

/// A layer and its gradient give the same bits in every run.
#[test]
fn every_run_is_the_same() {
    let gpu = gpu();
    let (forward, backward) = (Moe::case(14), MoeBackward::case(14));
    let first = gpu.run_tensors(&forward.op, &forward.inputs).unwrap();
    let first_gradients = gpu.run_tensors(&backward.op, &backward.inputs).unwrap();
    for _ in 0..25 {
        assert_eq!(gpu.run_tensors(&forward.op, &forward.inputs).unwrap(), first);
        assert_eq!(gpu.run_tensors(&backward.op, &backward.inputs).unwrap(), first_gradients);
    }
}

/// A NaN that only the projection makes is found all the same: no outputs; or, if asked for, the lowest rank.
#[test]
fn logits_that_are_nan_are_refused() {
    let gpu = gpu();
    let op = layer(40, 8, 2);
    let mut x = drawn(&op, 4)["x"].to_f32();
    x[5 * 16 + 3] = f32::NAN;
    let inputs = drawn(&op, 4).with("x", Tensor::f32([40, 16], x).unwrap());
    match gpu.run_tensors(&op, &inputs) {
        Err(RunError::Spec(SpecError::NonFiniteRouting { operand: "logits", first: 40, count: 8 })) => {}
        other => panic!("{other:?}"),
    }
    let gate = TopKGate { nan: NanLogits::Lowest, ..op.router.gate.clone() };
    let lowest = Moe { router: Router { gate, ..op.router.clone() }, ..op };
    let made = gpu.run_tensors(&lowest, &inputs).unwrap();
    let none = gatefold_core::routing::NO_EXPERT;
    assert_eq!(made["indices"].as_u32().unwrap()[10..12], [none, none]);
    assert!(made["o"].to_f32()[5 * 16..6 * 16].iter().all(|&o| o == 0.0));
    assert!(made["o"].to_f32().iter().all(|o| o.is_finite()));
}
