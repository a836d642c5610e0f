//! The gradients of a router's losses against dual numbers through the losses themselves, and what they say by themselves.

use gatefold_core::routing::{Congestion, CongestionCost, Load, RouterLossKind, rosenthal_potential};
use gatefold_core::{Dtype, Op, RouterLoss};
use gatefold_cpu_ref::data::Rng;
use gatefold_cpu_ref::{Dual, Reference, Values};

fn kinds() -> Vec<RouterLossKind> {
    let mut all = vec![RouterLossKind::LoadBalance, RouterLossKind::ZLoss];
    for load in [Load::Hard, Load::Soft] {
        for cost in [CongestionCost::Linear, CongestionCost::Quadratic] {
            all.push(RouterLossKind::Congestion(Congestion { load, cost, lambda: 0.5 }));
        }
    }
    all
}

fn spec(kind: RouterLossKind, tokens: usize, experts: usize, top_k: usize) -> RouterLoss {
    RouterLoss::new(kind, tokens, experts, if kind == RouterLossKind::ZLoss { 0 } else { top_k }, 0.75)
}

/// Random logits and choices; padding where the spec has a mask.
fn drawn(op: &RouterLoss, seed: u64) -> Values<f64> {
    let mut rng = Rng::new(seed, 7);
    let logits = (0..op.tokens * op.experts).map(|_| f64::from(rng.normal())).collect();
    #[allow(clippy::cast_possible_truncation, reason = "few experts")]
    let indices = (0..op.tokens * op.top_k).map(|_| rng.below(op.experts) as u32).collect();
    let floats = [("logits".to_string(), logits), ("d_loss".into(), vec![1.25])].into();
    let mut inputs = Values { floats, ..Values::default() };
    inputs.ints.insert("indices".into(), indices);
    if op.token_mask {
        inputs.ints.insert("token_mask".into(), (0..op.tokens).map(|t| u32::from(t % 3 > 0)).collect());
    }
    inputs
}

#[test]
fn gradients_are_those_of_the_losses() {
    for (n, kind) in kinds().into_iter().enumerate() {
        for token_mask in [false, true] {
            let op = RouterLoss { token_mask, ..spec(kind, 13, 7, 3) };
            let inputs = drawn(&op, n as u64);
            let gradient = &op.eval(&inputs).floats["d_logits"];
            let mut rng = Rng::new(n as u64, 8);
            let direction: Vec<f64> = gradient.iter().map(|_| f64::from(rng.normal())).collect();
            let mut moved = Values::<Dual> { ints: inputs.ints.clone(), ..Values::default() };
            let logits = inputs.floats["logits"].iter().zip(&direction).map(|(&v, &d)| Dual { v, d });
            moved.floats.insert("logits".into(), logits.collect());
            let by_dual = 1.25 * op.eval(&moved).floats["loss"][0].d;
            let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| g * d).sum();
            assert!((by_dual - expected).abs() < 1e-14 + 1e-12 * expected.abs(), "{op:?}: {by_dual} {expected}");
            let padded = |t: usize| token_mask && t.is_multiple_of(3);
            assert!(
                gradient.chunks(7).enumerate().all(|(t, row)| row.iter().all(|&g| g == 0.0) == padded(t)),
                "{op:?}"
            );
        }
    }
}

#[test]
fn padding_is_as_if_it_were_not_there() {
    for kind in kinds() {
        let masked = RouterLoss { token_mask: true, ..spec(kind, 12, 5, 2) };
        let inputs = drawn(&masked, 3);
        let plain = spec(kind, 8, 5, 2);
        let kept = |t: &usize| !t.is_multiple_of(3);
        let rows = |all: &[f64]| (0..12).filter(kept).flat_map(|t| all[t * 5..][..5].to_vec()).collect::<Vec<_>>();
        let mut less = inputs.clone();
        less.ints.remove("token_mask");
        let chosen = |all: &[u32]| (0..12).filter(kept).flat_map(|t| all[t * 2..][..2].to_vec()).collect();
        if kind != RouterLossKind::ZLoss {
            less.ints.insert("indices".into(), chosen(&inputs.ints["indices"]));
        }
        less.floats.insert("logits".into(), rows(&inputs.floats["logits"]));
        let (with, without) = (masked.eval(&inputs).floats, plain.eval(&less).floats);
        assert_eq!(with["loss"], without["loss"]);
        assert_eq!(rows(&with["d_logits"]), without["d_logits"]);
    }
}

/// Their docstring's claim: the hard, linear congestion loss of `λ = 1` is the load-balance loss, for any `k`.
#[test]
fn hard_linear_congestion_is_load_balance() {
    let game = Congestion { load: Load::Hard, cost: CongestionCost::Linear, lambda: 1.0 };
    let (switch, congested) =
        (spec(RouterLossKind::LoadBalance, 30, 6, 4), spec(RouterLossKind::Congestion(game), 30, 6, 4));
    let inputs = drawn(&switch, 5);
    let (a, b) = (switch.eval(&inputs).floats, congested.eval(&inputs).floats);
    for name in ["loss", "d_logits"] {
        assert!(a[name].iter().zip(&b[name]).all(|(x, y)| (x - y).abs() < 1e-14), "{name}");
    }
    let mut counts = vec![0; 6];
    inputs.ints["indices"].iter().for_each(|&e| counts[e as usize] += 1);
    let potential = rosenthal_potential(&counts, 120, CongestionCost::Linear, 1.0).unwrap();
    assert!((b["potential"][0] - potential).abs() < 1e-12);
}

#[test]
fn at_perfect_balance_it_is_the_coefficient() {
    let op = spec(RouterLossKind::LoadBalance, 8, 4, 2);
    let mut inputs = drawn(&op, 1);
    inputs.floats.insert("logits".into(), vec![0.5; 32]);
    inputs.ints.insert("indices".into(), (0..16).map(|i| i % 4).collect());
    let found = op.eval(&inputs).floats;
    assert!((found["loss"][0] - 0.75).abs() < 1e-15 && found["d_logits"].iter().all(|g| g.abs() < 1e-15));
}

#[test]
fn planned_cases_reach_every_option() {
    let ops: Vec<_> = (0..RouterLoss::PLANNED).map(|seed| RouterLoss::case(seed).op).collect();
    assert_eq!(RouterLoss::PLANNED, 93);
    let name = |op: &RouterLoss| op.label().split('.').next().unwrap_or_default().to_string();
    for kind in kinds() {
        let kind = name(&spec(kind, 1, 2, 1));
        let of_kind: Vec<_> = ops.iter().filter(|op| name(op) == kind && op.tokens > 0).collect();
        for (what, holds) in [
            ("mask", of_kind.iter().any(|op| op.token_mask)),
            ("no value", of_kind.iter().any(|op| !op.value)),
            ("no gradient", of_kind.iter().any(|op| !op.gradient)),
            ("f16", of_kind.iter().any(|op| op.dtype == Dtype::F16)),
        ] {
            assert!(holds, "{what} of {kind}");
        }
    }
}
