//! Cases of the gate with its projection. Which experts are chosen is exact, so inputs are drawn until no logit that decides is within its error of
//! another.

use gatefold_core::routing::{ROUTER_PRESETS, Router, RouterBackward, TopKGate, TopKGateBackward};
use gatefold_core::{Dtype, Gemm, Op, Operand, Tensor, Tensors};

use super::composite::{eval, inputs_of, words};
use crate::case::edge;
use crate::data::{Family, Rng};
use crate::{Case, Err, Reference, Values};

const SALT: u64 = 0x2074;

/// Tokens, experts, experts of a token, width of a row.
const SIZES: [[usize; 4]; 12] = [
    [1, 1, 1, 1],
    [1, 8, 2, 64],
    [0, 8, 2, 16],
    [7, 2, 1, 3],
    [22, 7, 7, 33],
    [64, 32, 4, 128],
    [65, 31, 3, 40],
    [100, 71, 6, 17],
    [5, 128, 8, 256],
    [33, 129, 2, 65],
    [3, 256, 8, 512],
    [130, 16, 2, 31],
];

/// Every preset at one size, every size with one preset, f16.
pub(super) const PLANNED: u64 = (ROUTER_PRESETS.len() + SIZES.len() + 6) as u64;

/// Draws until which experts are chosen is beyond doubt.
const DRAWS: usize = 40;

/// The preset's gate with f32 logits; of a size that its groups divide.
pub(super) fn preset(at: usize, [tokens, experts, top_k, _]: [usize; 4]) -> TopKGate {
    let build = ROUTER_PRESETS[at % ROUTER_PRESETS.len()].gate;
    let gate = build(tokens, experts, top_k);
    if gate.validate().is_ok() { gate } else { TopKGate::mixtral(tokens, experts, top_k) }
}

fn planned(seed: u64) -> Option<(Router, String)> {
    let at = edge(seed, PLANNED)?;
    let presets = ROUTER_PRESETS.len();
    if at < presets {
        let size = [48, 64, 4, 96];
        return Some((Router::new(preset(at, size), size[3]), format!("preset {}", ROUTER_PRESETS[at].name)));
    }
    let size = SIZES[(at - presets) % SIZES.len()];
    let router = Router::new(preset(at, size), size[3]);
    let half = at - presets >= SIZES.len();
    let note = format!("{} tokens, {} experts", size[0], size[1]);
    Some((Router { dtype: if half { Dtype::F16 } else { Dtype::F32 }, ..router }, note))
}

/// Any preset, size and storage type.
pub(super) fn random(rng: &mut Rng) -> Router {
    let experts = rng.pick(&[2, 7, 8, 16, 31, 32, 40, 64, 71]);
    let size =
        [rng.pick(&[1, 2, 7, 22, 64, 100]), experts, 1 + rng.below(experts.min(8)), rng.pick(&[4, 16, 33, 64, 100])];
    let gate = preset(rng.below(ROUTER_PRESETS.len()), size);
    let gate = TopKGate { token_mask: rng.chance(30), scores: rng.chance(30), lse: rng.chance(30), ..gate };
    let gate = TopKGate { threshold: None, ..gate };
    Router { dtype: if rng.chance(30) { Dtype::F16 } else { Dtype::F32 }, ..Router::new(gate, size[3]) }
}

/// One operand of a router or of its gradient.
pub(super) fn operand(rng: &mut Rng, o: &Operand, hidden: usize) -> Tensor {
    let count = o.len();
    #[allow(clippy::cast_precision_loss, reason = "a width")]
    let share = 1.0 / (hidden.max(1) as f32).sqrt();
    let numbers = match o.name {
        "token_mask" => {
            let mask: Vec<u32> = (0..count).map(|_| u32::from(rng.chance(85))).collect();
            return Tensor::u32(o.dims.clone(), mask).expect("as many numbers as the shape says");
        }
        "temperature" => vec![rng.pick(&[0.5, 1.0, 1.7]); count],
        "w_gate" => Family::Normal(2.0 * share).fill(rng, count, 1),
        "selection_bias" | "logit_bias" => Family::Normal(0.3).fill(rng, count, 1),
        _ => Family::Normal(1.0).fill(rng, count, 1),
    };
    Tensor::float(o.dtype, o.dims.clone(), numbers).expect("as many numbers as the shape says")
}

/// Whether the choice stays what it is if every logit moves by several times its error.
fn is_decided(op: &Router, inputs: &Tensors, rng: &mut Rng) -> bool {
    let values = Values::<Err>::of(inputs);
    let project = Gemm::new(op.gate.tokens, op.gate.experts, op.hidden);
    let made = eval(&project, &[("a", values.float("x")), ("b", values.float("w_gate"))], &[]);
    let logits = made.float("c").to_vec();
    let mut given = inputs_of(&op.gate, &Values::<f64>::of(inputs));
    let mut chosen = |moved: f64| {
        let mut sign = || if rng.chance(50) { moved } else { -moved };
        let logits = logits.iter().map(|z| z.v + sign() * z.e).collect();
        given.floats.insert("logits".into(), logits);
        words(&op.gate.eval(&given), "indices")
    };
    let plain = chosen(0.0);
    (0..6).all(|_| chosen(4.0) == plain)
}

/// The router's inputs, of which the choice is beyond doubt.
pub(super) fn inputs(rng: &mut Rng, op: &Router) -> Tensors {
    for _ in 0..DRAWS {
        let given: Vec<_> = op.operands().into_iter().filter(|o| o.role.is_given()).collect();
        let drawn: Tensors = given.iter().map(|o| (o.name.to_string(), operand(rng, o, op.hidden))).collect();
        if is_decided(op, &drawn, rng) {
            return drawn;
        }
    }
    unreachable!("{op:?}: some draw decides");
}

/// Case `seed` of the forward pass.
pub(super) fn forward(seed: u64) -> Case<Router> {
    Case::drawn((seed, SALT), planned(seed), random, 0, |rng, op, _| inputs(rng, op))
}

fn gradient_of(op: Router, rng: &mut Rng) -> RouterBackward {
    let gate = TopKGateBackward::new(op.gate);
    RouterBackward { gate, hidden: op.hidden, dtype: op.dtype, more: rng.chance(40) }
}

/// Adds what only a gradient has.
pub(super) fn with_upstream(rng: &mut Rng, operands: &[Operand], inputs: Tensors, derived: &[&str]) -> Tensors {
    let mut all = inputs;
    for o in operands.iter().filter(|o| o.role.is_given() && !derived.contains(&o.name)) {
        if all.get(o.name).is_none() {
            all.insert(o.name, operand(rng, o, 1));
        }
    }
    all
}

/// Case `seed` of the gradient.
pub(super) fn backward(seed: u64) -> Case<RouterBackward> {
    let mut choices = Rng::new(seed, SALT + 2);
    let planned = planned(seed).map(|(op, note)| (gradient_of(op, &mut choices), note));
    let random = |rng: &mut Rng| {
        let op = random(rng);
        gradient_of(op, rng)
    };
    Case::drawn((seed, SALT + 1), planned, random, 0, |rng, op, _| {
        let drawn = inputs(rng, &op.forward());
        op.complete(with_upstream(rng, &op.operands(), drawn, &["logits", "indices"]))
    })
}
