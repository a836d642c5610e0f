//! The gate's gradient against dual numbers through its definition, and what holds for gates by their formulas.

use std::collections::BTreeMap;

use gatefold_core::TopKGate;
use gatefold_core::routing::{ELSEWHERE, GateWeight, NO_EXPERT, NanLogits};
use gatefold_core::{Tensor, Tensors, TopKGateBackward};
use gatefold_cpu_ref::data::Rng;
use gatefold_cpu_ref::{Dual, Reference, Values, outputs};

/// `inputs` with `direction` as the derivative of operand `name`.
fn dual(inputs: &Values<f64>, name: &str, direction: &[f64]) -> Values<Dual> {
    let moved = |(n, x): (&String, &Vec<f64>)| {
        let derivative = |i: usize| if n == name { direction[i] } else { 0.0 };
        (n.clone(), x.iter().enumerate().map(|(i, &v)| Dual { v, d: derivative(i) }).collect())
    };
    Values { floats: inputs.floats.iter().map(moved).collect(), ints: inputs.ints.clone(), ..Values::default() }
}

/// Checks every gradient of a case in a random direction.
fn check(op: &TopKGateBackward, backward: &Values<f64>, forward: &Values<f64>, seed: u64) {
    let mut rng = Rng::new(seed, 9);
    let gradients = op.eval(backward);
    let upstream = [("weights", "d_weights"), ("scores", "d_scores"), ("lse", "d_lse")];
    for (name, x) in &forward.floats {
        let Some(gradient) = gradients.floats.get(&format!("d_{name}")) else { continue };
        let direction: Vec<f64> = x.iter().map(|_| f64::from(rng.normal())).collect();
        let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
        let mut scale: f64 = gradient.iter().zip(&direction).map(|(g, d)| (g * d).abs()).sum();
        let made = op.forward.eval(&dual(forward, name, &direction));
        let mut by_dual = 0.0;
        for (output, given) in upstream {
            for (g, y) in backward.float(given).iter().zip(made.float(output)) {
                by_dual += g * if y.d.is_finite() { y.d } else { 0.0 };
                scale += (g * y.d).abs() + 0.01 * g.abs();
            }
        }
        let error = (by_dual - expected).abs();
        assert!(error <= 1e-11 * scale, "seed {seed} d_{name}: {expected}, by dual numbers {by_dual}\n{op:#?}");
    }
}

#[test]
fn gradients_are_those_of_the_definition() {
    let mut seen = BTreeMap::new();
    for seed in 0..TopKGateBackward::PLANNED + 300 {
        let case = TopKGateBackward::case(seed);
        if case.note.contains("pecial") || case.note == "Wide" {
            continue;
        }
        let mut forward = Values::<f64>::of(&case.inputs);
        // who is chosen is in `indices`; a bias that chooses the same is not known here
        if case.op.forward.selection_bias || case.op.forward.tokens == 0 {
            continue;
        }
        forward.floats.retain(|name, _| !name.starts_with("d_"));
        check(&case.op, &Values::of(&case.inputs), &forward, seed);
        for option in case.op.forward.label_parts() {
            *seen.entry(option).or_insert(0) += 1;
        }
    }
    for name in ["by_score", "by_selected_softmax", "by_selected_sigmoid", "by_logit", "temperature", "logit_bias"]
        .into_iter()
        .chain(["renormalize", "threshold", "token_mask", "range", "act_sigmoid", "act_tanh", "act_gelu"])
        .chain(["identity", "softmax", "sigmoid", "sqrt_softplus", "groups_max", "lse", "scores"])
    {
        assert!(seen.get(name).is_some_and(|&n| n >= 3), "{name}: {seen:?}");
    }
}

trait LabelParts {
    fn label_parts(&self) -> Vec<String>;
}

impl LabelParts for TopKGate {
    fn label_parts(&self) -> Vec<String> {
        gatefold_core::Op::label(self).split('.').map(String::from).collect()
    }
}

fn run(op: &TopKGate, logits: &[f32]) -> Tensors {
    let logits = Tensor::f32([op.tokens, op.experts], logits.to_vec()).unwrap();
    outputs(op, &Tensors::new().with("logits", logits))
}

#[test]
fn equal_logits_go_to_the_lower_expert() {
    let made = run(&TopKGate::top_k_raw(1, 6, 4), &[1.0, 2.0, -0.0, 2.0, 0.0, 1.0]);
    assert_eq!(made["indices"].as_u32().unwrap(), [1, 3, 0, 5]);
    let made = run(&TopKGate::top_k_raw(1, 3, 3), &[-0.0, 0.0, -0.0]);
    assert_eq!(made["indices"].as_u32().unwrap(), [0, 1, 2]);
}

#[test]
fn slots_stay_empty_where_nobody_is_left() {
    let op = TopKGate { nan: NanLogits::Lowest, lse: true, ..TopKGate::mixtral(2, 3, 3) };
    let made = run(&op, &[f32::NAN, 1.0, f32::NEG_INFINITY, f32::NAN, f32::NAN, f32::NEG_INFINITY]);
    assert_eq!(made["indices"].as_u32().unwrap(), [1, NO_EXPERT, NO_EXPERT, NO_EXPERT, NO_EXPERT, NO_EXPERT]);
    assert_eq!(made["weights"].to_f32(), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(made["lse"].to_f32(), [1.0, f32::NEG_INFINITY]);
}

#[test]
fn experts_elsewhere_keep_their_share() {
    let whole = TopKGate::sigmoid_renorm(1, 4, 3);
    let logits = [0.5, 2.0, 1.0, -1.0];
    let all = run(&whole, &logits);
    let part = run(&TopKGate { expert_range: Some([1, 2]), ..whole }, &logits);
    assert_eq!(part["indices"].as_u32().unwrap(), [1, 2 | ELSEWHERE, ELSEWHERE]);
    assert_eq!(part["weights"].to_f32(), [all["weights"].to_f32()[0], 0.0, 0.0]);
}

#[test]
fn renormalised_softmax_is_the_softmax_of_the_chosen() {
    let logits = [0.5, 2.0, 1.0, -1.0, 3.0];
    let (a, b) = (run(&TopKGate::qwen_moe(1, 5, 2), &logits), run(&TopKGate::mixtral(1, 5, 2), &logits));
    assert_eq!(a["weights"].to_f32(), b["weights"].to_f32());
    let summed = TopKGate { renormalize: Some(1e-20), ..TopKGate::switch(1, 5, 2) };
    assert_eq!(summed.weight, GateWeight::Score);
    let c = run(&summed, &logits)["weights"].to_f32();
    assert!(c.iter().zip(a["weights"].to_f32()).all(|(c, a)| (c - a).abs() < 1e-6));
}
