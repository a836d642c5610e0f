//! Cases of a mixture of experts.

use gatefold_core::routing::{
    DropPolicy, ExpertFunction, GateWeight, Moe, MoeBackward, ROUTER_PRESETS, Router, TopKGate,
};
use gatefold_core::{Dtype, Op, Tensor, Tensors};

use super::composite::{eval, words};
use super::router_cases::{self, preset, with_upstream};
use crate::case::edge;
use crate::data::{Family, Rng};
use crate::{Case, Err, Reference, Values};

const SALT: u64 = 0x30e0;

/// Tokens, experts, experts of a token, width of a row, width of an expert.
const SIZES: [[usize; 5]; 14] = [
    [1, 8, 2, 64, 48],
    [3, 8, 2, 24, 20],
    [3, 5, 3, 33, 17],
    [1, 1, 1, 1, 1],
    [0, 4, 2, 8, 8],
    [4, 8, 8, 16, 20],
    [7, 2, 1, 5, 3],
    [22, 7, 3, 24, 17],
    [64, 8, 2, 32, 40],
    [65, 16, 4, 20, 12],
    [100, 31, 2, 12, 9],
    [40, 40, 5, 16, 16],
    [33, 3, 3, 33, 31],
    [16, 64, 2, 8, 8],
];

/// Every function, every size, every preset, capacities, f16.
pub(super) const PLANNED: u64 = (6 + SIZES.len() + ROUTER_PRESETS.len() + 10) as u64;

fn layer(at: usize, [tokens, experts, top_k, hidden, width]: [usize; 5], function: ExpertFunction) -> Moe {
    let gate = TopKGate { threshold: None, ..preset(at, [tokens, experts, top_k, hidden]) };
    Moe::new(Router::new(gate, hidden), width, function)
}

fn planned(seed: u64) -> Option<(Moe, String)> {
    let mut at = edge(seed, PLANNED)?;
    let functions = ExpertFunction::ALL;
    let small = [24, 8, 2, 16, 12];
    if at < 6 {
        let op = layer(1, small, functions[at]);
        return Some((Moe { bias: at % 2 == 0, ..op }, format!("function {}", functions[at].name())));
    }
    at -= 6;
    if at < SIZES.len() {
        let op = Moe { bias: at % 3 < 2, ..layer(1, SIZES[at], functions[at % 6]) };
        return Some((op, format!("{} tokens, {} experts", SIZES[at][0], SIZES[at][1])));
    }
    at -= SIZES.len();
    if at < ROUTER_PRESETS.len() {
        return Some((
            layer(at, [20, 16, 4, 12, 10], functions[at % 6]),
            format!("preset {}", ROUTER_PRESETS[at].name),
        ));
    }
    at -= ROUTER_PRESETS.len();
    let op = layer(1, if at == 9 { [1, 8, 2, 40, 24] } else { [30, 6, 2, 16, 12] }, functions[at % 6]);
    let drop = if at % 2 == 0 { DropPolicy::Position } else { DropPolicy::Weight };
    Some(match at {
        0..=5 => (Moe { capacity: Some([1, 3, 10][at / 2]), drop, counts: at < 2, ..op }, format!("capacity, {at}")),
        6 => (Moe { counts: true, ..op }, "counts".into()),
        _ => {
            let router = Router { dtype: Dtype::F16, ..op.router };
            (Moe { router, bias: at == 8, ..op }, "f16".into())
        }
    })
}

fn random(rng: &mut Rng) -> Moe {
    let mut router = router_cases::random(rng);
    router.hidden = rng.pick(&[4, 8, 12, 17, 32]);
    router.gate.tokens = rng.pick(&[1, 2, 5, 16, 33, 64]);
    // a weight that is 1 by its definition is 1 but for its rounding, which ranks nothing
    let ranks = router.gate.top_k > 1 || (router.gate.renormalize.is_none() && router.gate.weight == GateWeight::Score);
    let capacity = rng.chance(35).then(|| 1 + rng.below(12));
    Moe {
        bias: rng.chance(40),
        capacity,
        drop: if capacity.is_some() && ranks && rng.chance(50) { DropPolicy::Weight } else { DropPolicy::Position },
        counts: rng.chance(20),
        ..Moe::new(router, rng.pick(&[4, 7, 16, 24]), rng.pick(&ExpertFunction::ALL))
    }
}

/// Whether the same assignments are dropped if every weight moves by several times its error.
fn is_decided(op: &Moe, inputs: &Tensors, rng: &mut Rng) -> bool {
    let plan = op.routing_plan();
    if !plan.by_weight() {
        return true;
    }
    let made = op.router.eval(&Values::<Err>::of(inputs));
    let indices = words(&made, "indices");
    let mut dropped = |moved: f64| {
        let mut sign = || if rng.chance(50) { moved } else { -moved };
        let weights: Vec<f64> = made.float("weights").iter().map(|w| w.v + sign() * w.e).collect();
        words(&eval(&plan, &[("weights", &weights)], &[("indices", &indices)]), "inverse")
    };
    let plain = dropped(0.0);
    (0..6).all(|_| dropped(4.0) == plain)
}

/// The layer's inputs: the router's, and matrices that keep the size of a row.
fn inputs(rng: &mut Rng, op: &Moe) -> Tensors {
    let mut all = router_cases::inputs(rng, &op.router);
    while !is_decided(op, &all, rng) {
        all = router_cases::inputs(rng, &op.router);
    }
    for o in op.operands().into_iter().filter(|o| o.role.is_given()) {
        if all.get(o.name).is_some() {
            continue;
        }
        #[allow(clippy::cast_precision_loss, reason = "a width")]
        let share = 1.0 / (o.dims[o.dims.len() - 2].max(1) as f32).sqrt();
        let spread = if o.name.starts_with("w_") { share } else { 0.5 };
        let numbers = Family::Normal(spread).fill(rng, o.len(), 1);
        all.insert(o.name, Tensor::float(o.dtype, o.dims, numbers).expect("as many numbers as the shape says"));
    }
    all
}

/// Case `seed` of the forward pass.
pub(super) fn forward(seed: u64) -> Case<Moe> {
    Case::drawn((seed, SALT), planned(seed), random, 0, |rng, op, _| inputs(rng, op))
}

/// Case `seed` of the gradient.
pub(super) fn backward(seed: u64) -> Case<MoeBackward> {
    let mut choices = Rng::new(seed, SALT + 2);
    let mut gradient_of =
        |forward: Moe| MoeBackward { more: choices.chance(40), forward: Moe { counts: false, ..forward } };
    let planned = planned(seed).map(|(op, note)| (gradient_of(op), note));
    Case::drawn(
        (seed, SALT + 1),
        planned,
        |rng| gradient_of(random(rng)),
        0,
        |rng, op, _| {
            let drawn = inputs(rng, &op.forward);
            op.complete(with_upstream(rng, &op.operands(), drawn, &["logits", "indices", "weights"]))
        },
    )
}
