use super::*;
use crate::routing::{ELSEWHERE, NO_EXPERT};

fn base() -> TopKGate {
    TopKGate { logit_bias: true, selection_bias: true, temperature: true, token_mask: true, ..TopKGate::new(2, 8, 2) }
}

fn inputs(op: &impl Op) -> Tensors {
    let given = op.operands().into_iter().filter(|o| o.role.is_given());
    given
        .map(|o| {
            let fill = if o.name == "temperature" { 1.0 } else { 0.0 };
            let tensor = match o.dtype {
                Dtype::U32 => Tensor::u32(o.dims.clone(), vec![1u32; o.len()]),
                dtype => Tensor::float(dtype, o.dims.clone(), vec![fill; o.len()]),
            };
            (o.name.to_string(), tensor.unwrap())
        })
        .collect()
}

#[test]
fn presets_are_legal() {
    for preset in ROUTER_PRESETS {
        let gate = (preset.gate)(3, 64, 4);
        assert_eq!(gate.validate(), Ok(()), "{}", preset.name);
        assert_eq!(TopKGateBackward::new(gate).validate(), Ok(()), "{}", preset.name);
    }
    assert!(ROUTER_PRESETS.len() >= 15);
}

#[test]
fn specs_that_make_no_sense_are_refused() {
    let groups = |groups, keep, score| Some(ExpertGroups { groups, keep, score });
    let cases = [
        ("experts", TopKGate { experts: 0, ..base() }),
        ("experts", TopKGate { experts: 1025, ..base() }),
        ("top_k", TopKGate { top_k: 0, ..base() }),
        ("top_k", TopKGate { top_k: 9, ..base() }),
        ("top_k", TopKGate { top_k: 65, experts: 100, ..base() }),
        ("top_k", TopKGate { top_k: 5, groups: groups(4, 2, GroupScore::Max), ..base() }),
        ("tokens", TopKGate { tokens: (1 << 23) + 1, ..base() }),
        ("groups", TopKGate { groups: groups(3, 1, GroupScore::Max), ..base() }),
        ("groups", TopKGate { groups: groups(0, 1, GroupScore::Max), ..base() }),
        ("groups.keep", TopKGate { groups: groups(4, 5, GroupScore::Max), ..base() }),
        ("groups.keep", TopKGate { groups: groups(4, 0, GroupScore::Max), ..base() }),
        ("groups.score", TopKGate { groups: groups(4, 2, GroupScore::TopSum(3)), ..base() }),
        ("groups.score", TopKGate { groups: groups(4, 2, GroupScore::TopSum(0)), ..base() }),
        ("renormalize", TopKGate { renormalize: Some(-1e-9), ..base() }),
        ("renormalize", TopKGate { renormalize: Some(f32::NAN), ..base() }),
        ("scale", TopKGate { scale: f32::INFINITY, ..base() }),
        ("threshold", TopKGate { threshold: Some(f32::NAN), ..base() }),
        ("expert_range", TopKGate { expert_range: Some([3, 3]), ..base() }),
        ("expert_range", TopKGate { expert_range: Some([3, 9]), ..base() }),
        ("dtype", TopKGate { dtype: Dtype::U32, ..base() }),
        ("renormalize", TopKGate { renormalize: Some(0.0), ..TopKGate::mixtral(2, 8, 2) }),
        ("threshold", TopKGate { threshold: Some(0.1), ..TopKGate::mixtral(2, 8, 2) }),
    ];
    for (name, bad) in cases {
        let e = bad.validate().expect_err(name);
        assert!(e.to_string().starts_with(&format!("{name}:")), "{name}: {e}");
    }
    let backward = TopKGateBackward::new(base());
    for (name, bad) in [
        ("d_scores", TopKGateBackward { d_scores: true, ..backward.clone() }),
        ("d_lse", TopKGateBackward { d_lse: true, ..backward }),
    ] {
        assert!(bad.validate().unwrap_err().to_string().starts_with(&format!("{name}:")));
    }
}

#[test]
fn inputs_that_make_no_sense_are_refused() {
    let op = base();
    let good = inputs(&op);
    assert_eq!(op.check_inputs(&good), Ok(()));
    let put = |name: &str, at: usize, x: f32| {
        let mut numbers = good[name].to_f32();
        numbers[at] = x;
        good.clone().with(name, Tensor::f32(good[name].dims(), numbers).unwrap())
    };
    for (name, at, x) in [
        ("logit_bias", 3, f32::NAN),
        ("selection_bias", 7, f32::INFINITY),
        ("temperature", 0, 0.0),
        ("temperature", 0, -1.0),
        ("temperature", 0, f32::NAN),
    ] {
        let e = op.check_inputs(&put(name, at, x)).unwrap_err();
        assert!(matches!(e, SpecError::Value { .. }) && e.to_string().starts_with(&format!("{name}[{at}]")), "{e}");
    }
    assert_eq!(op.check_inputs(&put("logit_bias", 1, f32::NEG_INFINITY)), Ok(()));
    for name in ["logits", "logit_bias", "selection_bias", "temperature", "token_mask"] {
        let mut without = good.clone();
        without.take(name);
        assert!(matches!(op.check_inputs(&without), Err(SpecError::Missing { operand, .. }) if operand == name));
    }
}

#[test]
fn a_nan_logit_is_refused_unless_it_is_padding_or_the_lowest() {
    let op = base();
    let mut numbers = vec![0.0; 16];
    (numbers[9], numbers[12]) = (f32::NAN, f32::NAN);
    let given = inputs(&op).with("logits", Tensor::f32([2, 8], numbers).unwrap());
    let refusal = SpecError::NonFiniteRouting { operand: "logits", first: 9, count: 2 };
    assert_eq!(op.check_inputs(&given), Err(refusal.clone()));
    assert_eq!(TopKGate { nan: NanLogits::Lowest, ..op.clone() }.check_inputs(&given), Ok(()));
    let padded = given.with("token_mask", Tensor::u32([2], vec![1, 0]).unwrap());
    assert_eq!(op.check_inputs(&padded), Ok(()));
    let made = |words: [u32; 2]| Tensors::new().with("rejected", Tensor::u32([2], words.to_vec()).unwrap());
    assert_eq!(op.check_outputs(&made([0, NO_ROW])), Ok(()));
    assert_eq!(op.check_outputs(&made([2, 9])), Err(refusal));
}

#[test]
fn indices_of_a_gradient_are_those_of_a_gate() {
    let op = TopKGateBackward::new(base());
    let with = |words: [u32; 4]| inputs(&op).with("indices", Tensor::u32([2, 2], words.to_vec()).unwrap());
    assert_eq!(op.check_inputs(&with([7, ELSEWHERE | 7, NO_EXPERT, 0])), Ok(()));
    for bad in [8, ELSEWHERE | 8, u32::MAX] {
        let e = op.check_inputs(&with([0, 0, bad, 0])).unwrap_err();
        assert!(e.to_string().starts_with("indices[2]"), "{e}");
    }
}
