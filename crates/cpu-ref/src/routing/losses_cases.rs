//! Cases of the router's losses.

use gatefold_core::routing::{Congestion, CongestionCost, ELSEWHERE, Load, NO_EXPERT, RouterLossKind};
use gatefold_core::{Dtype, Op, RouterLoss, Tensor, Tensors};

use crate::Case;
use crate::case::edge;
use crate::data::{Family, Rng};

const SALT: u64 = 0x105e;

/// Tokens, experts, experts of a token.
const SIZES: [[usize; 3]; 15] = [
    [0, 8, 2],
    [1, 1, 1],
    [1, 8, 2],
    [7, 2, 2],
    [22, 7, 3],
    [64, 8, 8],
    [65, 31, 1],
    [100, 32, 4],
    [512, 40, 2],
    [100, 71, 6],
    [64, 128, 8],
    [129, 129, 5],
    [64, 160, 64],
    [512, 256, 8],
    [70, 512, 10],
];

/// Larger, for one loss each: many blocks of tokens, many parts of counts, the most experts.
const LARGE: [[usize; 3]; 3] = [[8192, 8, 2], [4200, 16, 16], [100, 1024, 7]];

const fn game(load: Load, cost: CongestionCost, lambda: f32) -> RouterLossKind {
    RouterLossKind::Congestion(Congestion { load, cost, lambda })
}

const KINDS: [RouterLossKind; 6] = [
    RouterLossKind::LoadBalance,
    RouterLossKind::ZLoss,
    game(Load::Hard, CongestionCost::Linear, 0.5),
    game(Load::Hard, CongestionCost::Quadratic, 0.25),
    game(Load::Soft, CongestionCost::Linear, 2.0),
    game(Load::Soft, CongestionCost::Quadratic, 0.75),
];

/// Every size with five of the kinds, and the large ones with all of them: 93.
pub(super) const PLANNED: u64 = 5 * SIZES.len() as u64 + (LARGE.len() * KINDS.len()) as u64;

fn spec(kind: RouterLossKind, [tokens, experts, top_k]: [usize; 3]) -> RouterLoss {
    let top_k = if kind == RouterLossKind::ZLoss { 0 } else { top_k };
    RouterLoss::new(kind, tokens, experts, top_k, 0.75)
}

/// Masks, modes, storage and special values in turns, so that every kind meets each of them at some size.
fn planned(seed: u64) -> Option<(RouterLoss, String)> {
    let at = edge(seed, PLANNED)?;
    if let Some(large) = at.checked_sub(5 * SIZES.len()) {
        let (size, kind) = (LARGE[large / KINDS.len()], KINDS[large % KINDS.len()]);
        let op = RouterLoss { token_mask: large.is_multiple_of(2), ..spec(kind, size) };
        return Some((op, format!("{} tokens", size[0])));
    }
    let (row, turn) = (at / 5, at % 5);
    let (size, kind) = (SIZES[row], KINDS[(at + row / 6) % KINDS.len()]);
    let op = RouterLoss {
        token_mask: (row + turn).is_multiple_of(3),
        value: (row + 3 * turn) % 5 != 1,
        gradient: (row + 3 * turn) % 5 != 3,
        dtype: if (2 * row + 3 * turn) % 6 == 2 { Dtype::F16 } else { Dtype::F32 },
        ..spec(kind, size)
    };
    let special = if (3 * row + 4 * turn) % 6 == 3 { ", special values" } else { "" };
    Some((op, format!("{} tokens{special}", size[0])))
}

fn random(rng: &mut Rng) -> RouterLoss {
    let tokens = rng.pick(&[1, 7, 22, 64, 100, 257, 512, 2000]);
    let most = 160_000 / tokens;
    let experts = rng.pick(&[1, 2, 7, 8, 31, 32, 40, 71, 128, 129, 160, 256, 288, 512, 1024]).min(most);
    let top_k = rng.pick(&[1, 2, 4, 6, 8, 17, 64]).min(experts);
    let load = rng.pick(&[Load::Hard, Load::Soft]);
    let cost = rng.pick(&[CongestionCost::Linear, CongestionCost::Quadratic]);
    let lambda = rng.pick(&[0.1, 1.0, 3.0]);
    let kind = rng.pick(&[RouterLossKind::LoadBalance, RouterLossKind::ZLoss, game(load, cost, lambda)]);
    let mode = rng.below(4);
    RouterLoss {
        coefficient: rng.pick(&[0.01, 1.0, -2.0]),
        token_mask: rng.chance(40),
        value: mode != 0,
        gradient: mode != 1,
        dtype: if rng.chance(25) { Dtype::F16 } else { Dtype::F32 },
        ..spec(kind, [tokens, experts, top_k])
    }
}

/// What an index that counts nowhere may be.
fn nowhere(rng: &mut Rng, experts: usize) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "at most 1024 experts")]
    let experts = experts as u32;
    rng.pick(&[NO_EXPERT, ELSEWHERE, ELSEWHERE | (experts - 1), experts, u32::MAX])
}

/// Experts drawn with a preference for the first, so that loads differ; some choices count nowhere.
fn indices(rng: &mut Rng, op: &RouterLoss) -> Vec<u32> {
    let holes = rng.chance(50);
    let mut draw = || {
        let within = rng.below(op.experts) + 1;
        #[allow(clippy::cast_possible_truncation, reason = "at most 1024 experts")]
        let index = rng.below(within) as u32;
        if holes && rng.chance(10) { nowhere(rng, op.experts) } else { index }
    };
    (0..op.tokens * op.top_k).map(|_| draw()).collect()
}

/// Padding at the end, as batches have it, or anywhere, or everywhere.
fn mask(rng: &mut Rng, tokens: usize) -> Vec<u32> {
    let valid = tokens.saturating_sub(rng.below(tokens + 1));
    match rng.below(8) {
        0..=3 => (0..tokens).map(|t| u32::from(t < valid)).collect(),
        7 => vec![0; tokens],
        _ => (0..tokens).map(|_| rng.pick(&[0, 1, 1, 1, u32::MAX])).collect(),
    }
}

/// Logits of an ordinary router; an upstream gradient under which the gradients are of ordinary size.
fn inputs(rng: &mut Rng, op: &RouterLoss, special: bool) -> Tensors {
    let family = rng.pick(&[Family::Normal(1.0), Family::Normal(1.0), Family::Normal(4.0), Family::Integers]);
    let mut logits = family.fill(rng, op.tokens, op.experts);
    if special {
        let minus = [f32::NEG_INFINITY];
        let picks: &[f32] = if rng.chance(50) {
            &minus
        } else {
            &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3.0e38, -3.0e38, 1e5, -1e5, 1e-40]
        };
        let percent = rng.pick(&[1, 30, 90]);
        logits.iter_mut().for_each(|x| *x = if rng.chance(percent) { rng.pick(picks) } else { *x });
    }
    let size = op.tokens.max(1) as f32 * (op.experts as f32).sqrt();
    let mut d_loss = size * rng.pick(&[1.0, -0.5]) * (0.5 + rng.unit());
    if special && rng.chance(20) {
        d_loss = rng.pick(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0]);
    }
    let mut all = Tensors::new();
    for o in op.operands().into_iter().filter(|o| o.role.is_given()) {
        let tensor = match o.name {
            "indices" => Tensor::u32(o.dims, indices(rng, op)),
            "token_mask" => Tensor::u32(o.dims, mask(rng, op.tokens)),
            "d_loss" => Tensor::f32(o.dims, vec![d_loss]),
            _ => Tensor::float(o.dtype, o.dims, logits.clone()),
        };
        all.insert(o.name, tensor.expect("as many as the shape says"));
    }
    all
}

/// Whether many outputs are 0 by design: no token counts, a lone expert has no gradient, and one whose load is the mean of all has none.
fn says_little(case: &Case<RouterLoss>) -> bool {
    let padding = case.inputs.get("token_mask").and_then(Tensor::as_u32).map(|m| m.iter().filter(|&&x| x == 0).count());
    case.op.experts < 8 || padding.is_some_and(|n| n > 0) || case.op.dtype == Dtype::F16
}

pub(super) fn case(seed: u64) -> Case<RouterLoss> {
    let case = Case::drawn((seed, SALT), planned(seed), random, 25, inputs);
    if says_little(&case) && !case.is_degenerate() { case.degenerate() } else { case }
}
